//! A blob store is replaced by one that the blobs are copied into, while they are written.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures::{StreamExt as _, TryStreamExt as _};
use micro_modules::{Module, PLATFORM_DATABASE, Progress};
use micro_plugin_api::{
    BlobHandle, Bytes, Code,
    blob::{BlobKey, BlobMeta},
};
use micro_test_backends::Postgres;

use crate::followed::{Followed, call};

const MEMORY: &str = "plugin = \"memory\"";
const FILE: &str = "plugin = \"file\"";

async fn write(blob: &BlobHandle, key: BlobKey<'_>, body: &[u8], content_type: &str) {
    let meta = BlobMeta {
        content_type: content_type.to_owned(),
        public: false,
    };
    let chunks: Vec<_> = body.chunks(100_000).map(Bytes::copy_from_slice).collect();
    let body = futures::stream::iter(chunks.into_iter().map(Ok)).boxed();
    blob.write(&call(), key, &meta, body).await.unwrap();
}

/// The bytes of a blob and their media type; `None` if there is none.
async fn read(blob: &BlobHandle, key: BlobKey<'_>) -> Option<(Vec<u8>, String)> {
    match blob.read(&call(), key).await {
        Ok((info, body)) => {
            let chunks: Vec<Bytes> = body.try_collect().await.unwrap();
            Some((chunks.concat(), info.meta.content_type))
        }
        Err(error) => {
            assert_eq!(error.code(), Code::NOT_FOUND, "{error}");
            None
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_is_written_before_and_during_a_copy_is_in_it() {
    let postgres = Postgres::shared().await;
    let database = postgres.database("blobs").await;
    let postgres = format!("plugin = \"postgres\"\nurl = {:?}", postgres.url(&database));
    let mut followed = Followed::start(&[("blob", MEMORY)]).await;
    let blob = followed.modules.blob();
    let large = vec![7; 1_000_000];
    let lasting = BlobKey::new("a/namespace", "large");
    write(&blob, lasting, &large, "application/x-large").await;
    let gone = BlobKey::new("passing", "one");
    write(&blob, gone, b"x", "").await;

    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..2)
        .map(|writer| {
            let (blob, stop) = (blob.clone(), stop.clone());
            tokio::spawn(async move {
                let mut last = BTreeMap::new();
                for turn in 0_u32.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let name = format!("{writer}/{}", turn % 6);
                    let key = BlobKey::new("micro", &name);
                    if turn % 7 == 6 {
                        blob.delete(&call(), key).await.unwrap();
                        last.insert(name, None);
                    } else {
                        let text = turn.to_string();
                        write(&blob, key, text.as_bytes(), &text).await;
                        last.insert(name, Some((text.clone().into_bytes(), text)));
                    }
                    tokio::task::yield_now().await;
                }
                last
            })
        })
        .collect();
    for (step, plugin) in [FILE, &postgres, MEMORY, &postgres, FILE]
        .iter()
        .enumerate()
    {
        followed.set("blob", plugin);
        if step == 1 {
            let error = followed.reload_badly(false, Module::Blob).await;
            assert!(error.contains("profile reload --copy"), "{error}");
        }
        let (outcome, told) = followed.reload_telling(true).await;
        assert!(outcome.iter().all(|one| one.error.is_none()), "{outcome:?}");
        let verified = |progress: &Progress| {
            matches!(
                progress,
                Progress::Verified { module: Module::Blob, name, items: 1, .. }
                    if name == "a/namespace"
            )
        };
        assert!(told.iter().any(verified), "{told:?}");
        if step == 0 {
            // What is deleted is not there again when its first blob store serves once more.
            blob.delete(&call(), gone).await.unwrap();
        }
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        for (name, wanted) in writer.await.unwrap() {
            let there = read(&blob, BlobKey::new("micro", &name)).await;
            assert_eq!(there, wanted, "{name}");
        }
    }
    let there = read(&blob, lasting).await;
    assert!(there == Some((large, "application/x-large".to_owned())));
    assert_eq!(read(&blob, gone).await, None);
    followed.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_copied_over_blobs_of_somebody_else() {
    let postgres = Postgres::shared().await;
    let database = postgres.database("blobs").await;
    let theirs = format!("plugin = \"postgres\"\nurl = {:?}", postgres.url(&database));
    let others = Followed::start(&[("blob", &theirs)]).await;
    let key = BlobKey::new("micro", "theirs");
    write(&others.modules.blob(), key, b"theirs", "").await;

    let mut followed = Followed::start(&[]).await;
    followed.set("blob", &theirs);
    let error = followed.reload_badly(true, Module::Blob).await;
    assert!(error.contains("and not this platform's id"), "{error}");
    assert_eq!(followed.plugin(Module::Blob), "file");
    let there = read(&others.modules.blob(), key).await;
    assert_eq!(there.unwrap().0, b"theirs");
    followed.end().await;
    others.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unfinished_copy_of_blobs_serves_nobody() {
    let followed = Followed::start(&[]).await;
    let key = BlobKey::new(PLATFORM_DATABASE, "copying");
    write(&followed.modules.blob(), key, b"", "").await;
    let error = followed.modules.platform_id().await.unwrap_err();
    assert!(error.message().contains("unfinished copy"), "{error}");
    followed.end().await;
}
