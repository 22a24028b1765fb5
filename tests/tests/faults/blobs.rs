//! Blobs while their backend fails.

use std::collections::BTreeSet;

use crate::{backend::Backend, platform::Platform, traffic::Traffic};

pub(crate) async fn no_acknowledged_blob_is_lost(backend: Backend) {
    let mut platform = Platform::start(backend, &["blob"]).await;
    let blobs = platform.client.blobs();
    let writing = blobs.clone();
    let traffic = Traffic::start(move |number| {
        let blobs = writing.clone();
        async move { blobs.write(key(number), key(number)).await }
    });
    platform.goes_through_faults(&traffic).await;

    let acknowledged = traffic.end().await;
    let kept = blobs.list("blob-").await.expect("the blobs");
    let kept: BTreeSet<_> = kept.into_iter().collect();
    let mut keys = acknowledged.into_iter().map(key);
    let lost: Vec<_> = keys.by_ref().filter(|key| !kept.contains(key)).collect();
    assert!(lost.is_empty(), "{lost:?}");
    let last = kept.last().expect("a blob");
    let read = blobs.read(last).await.expect("an answer");
    assert_eq!(read.expect("a blob"), last.as_bytes());
    assert!(platform.server.stop().await.success());
}

fn key(number: u64) -> String {
    format!("blob-{number:06}")
}
