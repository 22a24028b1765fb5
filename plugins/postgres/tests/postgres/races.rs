//! Several servers on one database: who wins, in which order it is told, and what a dropped call
//! leaves.

use micro_test_backends::until;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use micro_plugin_api::{
    Code,
    blob::{BlobKey, BlobMeta},
    store::{Commit, ListQuery, Precondition},
};

use crate::common::{Behind, Instance, TABLE, call, new_database, next, settings, text};

async fn two() -> (String, Instance, Instance) {
    let url = new_database().await;
    let first = Instance::open(settings(&url)).await.unwrap();
    let second = Instance::open(settings(&url)).await.unwrap();
    (url, first, second)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_servers_that_create_a_key_at_once_one_gets_a_conflict() {
    let (_, first, second) = two().await;
    for round in 0..50 {
        let key = format!("k{round}");
        let (a, b) = tokio::join!(
            first.put(&key, Precondition::Absent),
            second.put(&key, Precondition::Absent),
        );
        let (won, lost) = match (a, b) {
            (Ok(version), Err(error)) | (Err(error), Ok(version)) => (version, error),
            both => panic!("{both:?}"),
        };
        assert_eq!(lost.code(), Code::CONFLICT);
        assert!(lost.message().contains(&key), "{lost}");
        let record = first.store.read(&call(), TABLE, &key).await.unwrap();
        assert_eq!(record.unwrap().version, won);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_server_is_told_of_all_commits_in_their_one_order() {
    let (_, first, second) = two().await;
    let mut watches = [
        first.store.watch(&call(), TABLE, "k").await.unwrap(),
        second.store.watch(&call(), TABLE, "k").await.unwrap(),
    ];
    let writers = (0..8).map(|writer| {
        let instance = [&first, &second][writer % 2].clone();
        tokio::spawn(async move {
            let mut versions = Vec::new();
            for i in 0..25 {
                let commit = (0..3).fold(Commit::new(), |commit, part| {
                    let key = format!("k{}/{part}", i % 5);
                    commit.put(TABLE, key, Precondition::Any, text(""))
                });
                versions.push(instance.store.commit(&call(), &commit).await.unwrap().0);
            }
            versions
        })
    });
    let mut wanted: Vec<u64> = Vec::new();
    for writer in join_all(writers).await {
        wanted.extend(writer.unwrap());
    }
    wanted.sort_unstable();
    let unique = wanted.windows(2).all(|pair| pair[0] < pair[1]);
    assert!(unique, "a version was given twice: {wanted:?}");
    for watch in &mut watches {
        for version in &wanted {
            for part in 0..3 {
                let change = next(watch).await.unwrap();
                assert_eq!(change.version().0, *version);
                assert!(change.key().ends_with(&format!("/{part}")), "{change:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_call_leaves_no_transaction_and_no_connection_behind() {
    let (url, first, _) = two().await;
    let body = || {
        let chunks = (0..6).map(|_| Ok(Bytes::from(vec![1; 300_000])));
        Box::pin(futures::stream::iter(chunks))
    };
    let (key, meta) = (BlobKey::new("ns", "k"), BlobMeta::default());
    for i in 0..40 {
        let soon = Duration::from_micros(i * 400);
        let (context, query) = (call(), ListQuery::default());
        let name = format!("k{i}");
        let dropped = async {
            tokio::join!(
                tokio::time::timeout(soon, first.put(&name, Precondition::Any)),
                tokio::time::timeout(soon, first.store.list(&context, TABLE, &query)),
                tokio::time::timeout(soon, first.blob.write(&context, key, &meta, body())),
            )
        };
        let _ = dropped.await;
    }
    let mut behind = Behind::new(&url).await;
    until(async || {
        let open = behind.number(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
             AND application_name = 'micro' AND state <> 'idle'",
        );
        (open.await == 0).then_some(())
    })
    .await;
    // All connections are free: as many calls as there may be go through together.
    let calls = (0..32).map(|_| first.value("k1"));
    for outcome in join_all(calls).await {
        outcome.unwrap();
    }
    first.put("after", Precondition::Absent).await.unwrap();
    let written = first.blob.write(&call(), key, &meta, body()).await.unwrap();
    assert_eq!(written.size, 1_800_000);
}
