//! Streams of a library that grow without bound, as whoever reads them sees it.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Place, call, soon};
use futures::StreamExt;
use micro_plugin_api::{
    Code,
    blob::{BlobKey, BlobMeta},
    registry::Filter,
    stream::HistoryQuery,
};
use serde_json::json;

#[tokio::test]
async fn a_stream_that_never_waits_leaves_time_for_others_on_its_thread() {
    let place = Place::new();
    let instance = place.open(json!({"excess": "changes"})).await;
    let registry = instance.registry().unwrap();
    let mut changes = registry.watch(&call(), &Filter::default()).await.unwrap();
    let reading = tokio::spawn(async move { while changes.next().await.is_some() {} });
    // On the one thread that there is.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!reading.is_finished());
    reading.abort();
    assert!(soon(reading).await.unwrap_err().is_cancelled());
}

#[tokio::test]
async fn a_blob_has_as_many_bytes_as_are_said_of_it() {
    let place = Place::new();
    let instance = place.open(json!({"excess": "stream"})).await;
    let blob = instance.blob().unwrap();
    let (key, meta) = (BlobKey::new("n", "k"), BlobMeta::default());
    let body = futures::stream::iter([Ok("hello".into())]);
    blob.write(&call(), key, &meta, Box::pin(body))
        .await
        .unwrap();
    let (info, chunks) = blob.read(&call(), key).await.unwrap();
    assert_eq!(info.size, 5);
    let mut chunks: Vec<_> = soon(chunks.collect()).await;
    let error = chunks.pop().unwrap().unwrap_err();
    assert_eq!(error.code(), Code::INTERNAL);
    assert!(error.message().contains("more than the 5 bytes"), "{error}");
    assert_eq!(chunks, [Ok("hello".into())]);
}

#[tokio::test]
async fn items_that_grow_end_their_stream() {
    let place = Place::new();
    let instance = place.open(json!({"excess": "items"})).await;
    let query = HistoryQuery::default();
    let stream = instance.stream().unwrap();
    let events = stream.history(&call(), "t", &query).await.unwrap();
    let mut events: Vec<_> = soon(events.collect()).await;
    let error = events.pop().unwrap().unwrap_err();
    assert_eq!(error.code(), Code::INTERNAL);
    let words = "the plugin zoo sent an item of";
    assert!(error.message().contains(words), "{error}");
    assert!(events.len() > 5 && events.iter().all(Result::is_ok));
}
