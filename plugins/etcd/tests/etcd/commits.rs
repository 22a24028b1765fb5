//! Commits at etcd's own limits, and those whose answer is lost.

use etcd_client::Client;
use micro_plugin_api::{
    Bytes, Call, Code,
    store::{Commit, Precondition, Put},
};
use micro_test_backends::{Etcd, eventually, soon, until};

use crate::{
    common::{TABLE, open_store, put, read, settings, stored, text},
    proxy::{Line, Proxy},
};

fn large() -> Put {
    Put {
        value: Bytes::from(vec![7; 1 << 20]),
        ..Put::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_beyond_etcds_request_is_invalid_and_says_which_limit() {
    let settings = settings(Etcd::shared().await.endpoint());
    let store = open_store(&settings).await;
    // A little above what raft takes, and far above what gRPC takes.
    for count in [2, 64] {
        let commit = (0..count).fold(Commit::new(), |commit, i| {
            commit.put(TABLE, format!("k{i}"), Precondition::Any, large())
        });
        let error = store.commit(&Call::default(), &commit).await;
        let error = error.expect_err("too large");
        assert_eq!(error.code(), Code::INVALID, "{error}");
        assert!(error.message().contains("--max-request-bytes"), "{error}");
    }
    assert_eq!(read(&store, "k0").await.expect("a read"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_preconditions_of_each_kind_fit_into_a_transaction() {
    let settings = settings(Etcd::shared().await.endpoint());
    let store = open_store(&settings).await;
    let commit = |precondition| {
        (0..Commit::MAX_OPERATIONS).fold(Commit::new(), |commit, i| {
            commit.put(TABLE, format!("k{i}"), precondition, text("v"))
        })
    };
    let call = Call::default();
    let created = store.commit(&call, &commit(Precondition::Absent)).await;
    let version = created.expect("created");
    let changed = store
        .commit(&call, &commit(Precondition::Version(version)))
        .await;
    assert_ne!(changed.expect("changed"), version);
    let error = store
        .commit(&call, &commit(Precondition::Version(version)))
        .await;
    assert_eq!(error.expect_err("stale").code(), Code::CONFLICT);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_is_not_sent_again() {
    let etcd = Etcd::shared().await;
    let proxy = Proxy::start(etcd.endpoint()).await;
    let settings = settings(&proxy.endpoint());
    let store = open_store(&settings).await;
    put(&store, "first", text("v")).await.expect("a commit");
    let mut others = Client::connect([etcd.endpoint()], None)
        .await
        .expect("etcd");

    proxy.set(Line::Mute);
    let commit = tokio::spawn({
        let store = store.clone();
        async move { put(&store, "k", text("v")).await }
    });
    // It has arrived, and nobody on this side can know.
    eventually(async || stored(&mut others.clone(), &settings).await.len() == 2).await;
    proxy.set(Line::Cut);
    let error = soon("the commit's end", commit).await.expect("no panic");
    let error = error.expect_err("a lost answer");
    assert_eq!(error.code(), Code::UNAVAILABLE, "{error}");
    assert!(!error.is_retryable(), "{error}");
    assert!(error.message().contains("may have happened"), "{error}");

    proxy.set(Line::Open);
    until(async || read(&store, "k").await.ok().flatten()).await;
    let there = stored(&mut others, &settings).await;
    let written: Vec<_> = there.iter().map(etcd_client::KeyValue::version).collect();
    assert_eq!(written, [1, 1], "how often each key was written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_was_never_sent_is_sent_when_etcd_is_there() {
    let etcd = Etcd::shared().await;
    let proxy = Proxy::start(etcd.endpoint()).await;
    let store = open_store(&settings(&proxy.endpoint())).await;
    proxy.set(Line::Cut);
    let error = put(&store, "k", text("v")).await.expect_err("no etcd");
    assert_eq!(error.code(), Code::UNAVAILABLE, "{error}");
    proxy.set(Line::Open);
    until(async || put(&store, "k", text("v")).await.ok()).await;
}
