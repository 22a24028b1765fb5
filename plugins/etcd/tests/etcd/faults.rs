//! etcd that is not there, does not answer, is killed, and comes back.

use std::time::Duration;

use micro_etcd::Settings;
use micro_plugin_api::{Call, Code};
use micro_test_backends::{Etcd, soon, until};

use crate::{
    common::{TABLE, open_registry, open_store, put, read, settings, text},
    proxy::{Line, Proxy},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_opens_while_etcd_is_down_and_serves_when_it_is_up() {
    let mut etcd = Etcd::start().await;
    etcd.kill();
    let settings = settings(etcd.endpoint());
    let (store, registry) = (open_store(&settings).await, open_registry(&settings).await);
    let call = Call::default();
    for error in [
        read(&store, "k").await.map(drop),
        put(&store, "k", text("v")).await.map(drop),
        store.databases(&call).await.map(drop),
        store.watch(&call, TABLE, "").await.map(drop),
        store.health(&call).await,
        registry.list(&call, &Default::default()).await.map(drop),
        registry.health(&call).await,
    ] {
        let error = error.expect_err("etcd is down");
        assert_eq!(error.code(), Code::UNAVAILABLE, "{error}");
        assert!(error.is_retryable(), "{error}");
        assert!(error.message().contains(etcd.endpoint()), "{error}");
    }
    etcd.restart().await;
    until(async || read(&store, "k").await.ok()).await;
    put(&store, "k", text("v")).await.expect("a commit");
    registry.health(&call).await.expect("well");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_etcd_that_does_not_answer_keeps_nobody_beyond_the_deadline() {
    let mut etcd = Etcd::start().await;
    let patient = settings(etcd.endpoint());
    let settings = Settings {
        timeout_ms: 1_500,
        ..patient.clone()
    };
    let (patient, store) = (open_store(&patient).await, open_store(&settings).await);
    put(&patient, "k", text("v")).await.expect("a commit");
    etcd.pause();
    let error = soon("a read", read(&store, "k"))
        .await
        .expect_err("no answer");
    assert_eq!(error.code(), Code::UNAVAILABLE, "{error}");
    let call = Call::default().with_timeout(Duration::from_millis(500));
    let error = soon("a read", store.read(&call, TABLE, "k")).await;
    let error = error.expect_err("no answer");
    assert_eq!(error.code(), Code::DEADLINE, "{error}");
    let error = soon("a commit", put(&store, "k", text("w"))).await;
    let error = error.expect_err("no answer");
    assert_eq!(error.code(), Code::UNAVAILABLE, "{error}");
    assert!(!error.is_retryable(), "{error}");
    etcd.resume();
    until(async || read(&patient, "k").await.ok()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_after_a_kill() {
    let mut etcd = Etcd::start().await;
    let settings = settings(etcd.endpoint());
    let store = open_store(&settings).await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let writer = tokio::spawn({
        let store = store.clone();
        async move {
            let (mut acknowledged, mut i) = (Vec::new(), 0);
            while !*stopped.borrow() {
                i += 1;
                let key = format!("k{i}");
                if put(&store, &key, text("v")).await.is_ok() {
                    acknowledged.push(key);
                }
            }
            acknowledged
        }
    });
    for round in ["first", "second"] {
        put(&store, round, text("v")).await.expect("a commit");
        etcd.restart().await;
        until(async || put(&store, "after", text(round)).await.ok()).await;
    }
    stop.send_replace(true);
    let acknowledged = soon("the writer", writer).await.expect("no panic");
    assert!(!acknowledged.is_empty());
    for key in ["first".to_owned(), "second".to_owned()]
        .iter()
        .chain(&acknowledged)
    {
        let there = read(&store, key).await.expect("a read");
        assert_eq!(there.as_deref(), Some("v"), "{key} was acknowledged");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_a_member_fails_the_next_one_is_asked() {
    let etcd = Etcd::shared().await;
    let (first, second) = (
        Proxy::start(etcd.endpoint()).await,
        Proxy::start(etcd.endpoint()).await,
    );
    let settings = Settings {
        endpoints: vec![first.endpoint(), second.endpoint()],
        ..settings(etcd.endpoint())
    };
    first.set(Line::Cut);
    let store = open_store(&settings).await;
    until(async || put(&store, "k", text("v")).await.ok()).await;
    first.set(Line::Open);
    second.set(Line::Cut);
    until(async || read(&store, "k").await.ok().flatten()).await;
    // One that takes calls and answers none.
    first.set(Line::Mute);
    second.set(Line::Open);
    until(async || read(&store, "k").await.ok().flatten()).await;
}
