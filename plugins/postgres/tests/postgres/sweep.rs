//! What is collected in the background, and what those are told who needed it.

use micro_test_backends::until;
use std::time::Duration;

use bytes::Bytes;
use micro_plugin_api::{
    Code, Error,
    blob::{BlobKey, BlobMeta},
    store::{Commit, Expiry, Precondition, Put},
};
use micro_postgres::{Period, Settings};

use crate::common::{Behind, Instance, TABLE, call, new_database, next, settings, text};

fn eager(url: &str) -> Settings {
    Settings {
        sweep_interval: Period::from_millis(20),
        ..settings(url)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_records_go_and_the_others_stay() {
    let url = new_database().await;
    let instance = Instance::open(eager(&url)).await.unwrap();
    let put = |expiry| Put {
        expiry: Some(expiry),
        ..text("")
    };
    let far = Expiry::after(Duration::from_secs(3_600));
    let stays = Commit::new()
        .put(TABLE, "later", Precondition::Any, put(far))
        .put(TABLE, "never", Precondition::Any, text(""));
    instance.store.commit(&call(), &stays).await.unwrap();
    for i in 0..40 {
        let commit = (0..64).fold(Commit::new(), |commit, j| {
            commit.put(TABLE, format!("{i}/{j}"), Precondition::Any, put(Expiry(1)))
        });
        instance.store.commit(&call(), &commit).await.unwrap();
    }
    let mut behind = Behind::new(&url).await;
    until(async || {
        let left = behind.number("SELECT count(*) FROM records").await;
        (left == 2).then_some(())
    })
    .await;
    assert!(instance.value("later").await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_missed_changes_is_told_to_begin_again() {
    let url = new_database().await;
    // It reads the log when it commits itself, and not before.
    let cut_off = Instance::open(Settings {
        watch_interval: Period::from_secs(3_600),
        sweep_interval: Period::from_secs(3_600),
        ..settings(&url)
    })
    .await
    .unwrap();
    let other = Instance::open(eager(&url)).await.unwrap();
    let mut watch = cut_off.store.watch(&call(), TABLE, "").await.unwrap();
    other.put("missed", Precondition::Any).await.unwrap();
    let mut behind = Behind::new(&url).await;
    behind.execute("UPDATE changes SET at = 0").await;
    until(async || {
        let left = behind.number("SELECT count(*) FROM changes").await;
        (left == 0).then_some(())
    })
    .await;
    cut_off.put("seen", Precondition::Any).await.unwrap();
    let error = next(&mut watch).await.unwrap_err();
    assert_eq!(error.code(), Code::UNAVAILABLE);
    assert!(error.is_retryable());
    let mut again = cut_off.store.watch(&call(), TABLE, "").await.unwrap();
    cut_off.put("then", Precondition::Any).await.unwrap();
    assert_eq!(next(&mut again).await.unwrap().key(), "then");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_of_no_blob_go_and_the_others_stay() {
    let url = new_database().await;
    let instance = Instance::open(eager(&url)).await.unwrap();
    let (key, meta) = (BlobKey::new("ns", "k"), BlobMeta::default());
    let chunk = || Ok(Bytes::from(vec![7; 300_000]));
    let body = |fails: Option<Error>| {
        let chunks = (0..4).map(|_| chunk()).chain(fails.map(Err));
        Box::pin(futures::stream::iter(chunks.collect::<Vec<_>>()))
    };
    // One that is replaced, one that is whole, one that breaks off.
    for _ in 0..2 {
        instance
            .blob
            .write(&call(), key, &meta, body(None))
            .await
            .unwrap();
    }
    let broken = body(Some(Error::invalid("no more")));
    let other = BlobKey::new("ns", "other");
    instance
        .blob
        .write(&call(), other, &meta, broken)
        .await
        .unwrap_err();
    let mut behind = Behind::new(&url).await;
    behind.execute("UPDATE garbage SET since = 0").await;
    until(async || {
        let left = behind.number("SELECT count(*) FROM garbage").await;
        (left == 0).then_some(())
    })
    .await;
    let chunks = behind.number("SELECT count(*) FROM chunks").await;
    assert_eq!(chunks, (4 * 300_000_i64 + (256 << 10) - 1) / (256 << 10));
    let (info, _) = instance.blob.read(&call(), key).await.unwrap();
    assert_eq!(info.size, 1_200_000);
}
