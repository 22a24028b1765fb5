//! Servers that are down, that hang, and that are killed.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use micro_plugin_api::{
    Code,
    blob::{BlobKey, BlobMeta, BlobQuery},
    store::{Commit, ListQuery, Precondition},
};
use micro_test_backends::{PATIENCE, Postgres, until};
use tokio::time::timeout;

use crate::common::{Behind, Instance, TABLE, call, hasty, next, settings, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_down_at_the_start_is_found_when_it_comes() {
    let mut server = Postgres::start().await;
    let url = server.url(&server.database("late").await);
    server.kill();
    let instance = Instance::open(settings(&url)).await.unwrap();
    let health = instance.store.health(&hasty()).await.unwrap_err();
    assert_eq!(health.code(), Code::UNAVAILABLE);
    assert!(health.message().contains("127.0.0.1"), "{health}");
    let read = instance.store.read(&hasty(), TABLE, "k").await.unwrap_err();
    assert_eq!(read.code(), Code::UNAVAILABLE);
    let commit = Commit::new().put(TABLE, "k", Precondition::Any, text("v"));
    let committed = instance.store.commit(&hasty(), &commit).await.unwrap_err();
    assert_eq!(committed.code(), Code::UNAVAILABLE);
    let listed = instance.blob.list(&hasty(), &BlobQuery::default()).await;
    assert_eq!(listed.unwrap_err().code(), Code::UNAVAILABLE);

    server.restart().await;
    until(async || instance.store.health(&hasty()).await.ok()).await;
    instance.put("then", Precondition::Absent).await.unwrap();
    assert!(instance.value("then").await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_holds_up_no_call_beyond_its_deadline() {
    let mut server = Postgres::start().await;
    let url = server.url(&server.database("hangs").await);
    let instance = Instance::open(settings(&url)).await.unwrap();
    instance.put("before", Precondition::Absent).await.unwrap();
    let mut watch = instance.store.watch(&call(), TABLE, "").await.unwrap();
    server.pause();
    // More calls than there are connections.
    let commit = Commit::new().put(TABLE, "meanwhile", Precondition::Any, text(""));
    let (query, meta) = (ListQuery::default(), BlobMeta::default());
    let calls = (0..20).map(|_| async {
        let (a, b, c, d, e, f) = (hasty(), hasty(), hasty(), hasty(), hasty(), hasty());
        let body = Box::pin(futures::stream::iter([Ok("x".into())]));
        let (read, list, commit, write, watch, health) = tokio::join!(
            instance.store.read(&a, TABLE, "before"),
            instance.store.list(&b, TABLE, &query),
            instance.store.commit(&c, &commit),
            instance
                .blob
                .write(&d, BlobKey::new("ns", "k"), &meta, body),
            instance.store.watch(&e, TABLE, ""),
            instance.store.health(&f),
        );
        let unclear = commit.unwrap_err();
        assert!(!unclear.is_retryable(), "{unclear}");
        [
            read.err(),
            list.err(),
            Some(unclear),
            write.err(),
            watch.err(),
            health.err(),
        ]
    });
    let ended = timeout(PATIENCE, futures::future::join_all(calls)).await;
    for error in ended.expect("no call hangs").into_iter().flatten() {
        let error = error.expect("nothing is answered");
        assert_eq!(error.code(), Code::UNAVAILABLE, "{error}");
    }
    server.resume();
    until(async || instance.put("after", Precondition::Any).await.ok()).await;
    assert!(instance.value("before").await.unwrap().is_some());
    until(async || (next(&mut watch).await.unwrap().key() == "after").then_some(())).await;
    let mut behind = Behind::new(&url).await;
    until(async || {
        let open = behind.number(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
             AND state LIKE 'idle in transaction%'",
        );
        (open.await == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_loses_nothing_that_was_acknowledged() {
    let mut server = Postgres::start().await;
    let url = server.url(&server.database("killed").await);
    let instance = Instance::open(settings(&url)).await.unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (instance, done) = (instance.clone(), done.clone());
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for i in 0.. {
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                    let key = format!("{writer}/{i}");
                    match instance.put(&key, Precondition::Absent).await {
                        Ok(version) => acknowledged.push((key, version)),
                        // Nobody else creates these keys: a conflict would be with itself.
                        Err(error) => assert_eq!(error.code(), Code::UNAVAILABLE, "{error}"),
                    }
                }
                acknowledged
            })
        })
        .collect();
    for round in 0..3 {
        let before = format!("round {round}");
        until(async || instance.put(&before, Precondition::Any).await.ok()).await;
        server.kill();
        server.restart().await;
    }
    until(async || instance.put("at last", Precondition::Any).await.ok()).await;
    done.store(true, Ordering::Relaxed);
    let mut count = 0;
    for writer in writers {
        for (key, version) in writer.await.unwrap() {
            let record = instance.store.read(&call(), TABLE, &key).await.unwrap();
            assert_eq!(record.map(|record| record.version), Some(version), "{key}");
            count += 1;
        }
    }
    assert!(count > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_was_lost_is_neither_lost_nor_done_twice() {
    let mut server = Postgres::start().await;
    let url = server.url(&server.database("unclear").await);
    let instance = Instance::open(settings(&url)).await.unwrap();
    for round in 0..5 {
        let key = format!("k{round}");
        let committing = tokio::spawn({
            let (instance, key) = (instance.clone(), key.clone());
            async move { instance.put(&key, Precondition::Absent).await }
        });
        tokio::task::yield_now().await;
        server.kill();
        server.restart().await;
        // It had all the time that it needed to find out.
        let version = committing.await.unwrap().unwrap();
        let record = instance.store.read(&call(), TABLE, &key).await.unwrap();
        assert_eq!(record.unwrap().version, version);
    }
}
