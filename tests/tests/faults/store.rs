//! Records in etcd and in PostgreSQL while these fail.

use std::{collections::BTreeSet, path::Path, time::Duration};

use futures::StreamExt as _;
use micro::store::{Change, Query, Record};
use micro_modules::Modules;
use micro_plugin_api::{
    Call, StoreHandle,
    store::{Commit, ListQuery, Precondition, Put, Table},
};
use micro_tests::{PATIENCE, program, wait_for};

use crate::{
    backend::Backend,
    platform::Platform,
    traffic::{Traffic, assert_unavailable},
};

pub(crate) async fn no_acknowledged_write_is_lost(backend: Backend) {
    let mut platform = Platform::start(backend, &["store"]).await;
    let store = platform.client.store();
    let writing = store.clone();
    let traffic = Traffic::start(move |number| {
        let store = writing.clone();
        async move { store.write(Record::new(key(number), "value")).await }
    });
    platform.goes_through_faults(&traffic).await;

    let acknowledged = traffic.end().await;
    let records = store.read_many(Query::prefix("key-")).await;
    let kept: BTreeSet<String> = records
        .expect("the records")
        .into_iter()
        .map(|record| record.key)
        .collect();
    let lost: Vec<_> = acknowledged
        .into_iter()
        .map(key)
        .filter(|key| !kept.contains(key))
        .collect();
    assert!(lost.is_empty(), "{lost:?}");
    assert!(platform.server.stop().await.success());
}

fn key(number: u64) -> String {
    format!("key-{number:06}")
}

/// A watch goes on over a crash of what is watched, or it ends and says so: whoever watches can
/// always know what they have missed.
pub(crate) async fn a_watch_goes_on_or_says_that_it_ends(backend: Backend) {
    let mut platform = Platform::start(backend, &["store"]).await;
    let store = platform.client.store();
    let mut changes = store.watch("").await.expect("a watch");
    platform.backend.kill();
    platform.says_what_is_down().await;
    platform.backend.restart().await;
    platform.is_ready().await;
    store
        .write(Record::new("after", "value"))
        .await
        .expect("a write");
    let next = tokio::time::timeout(PATIENCE, changes.next()).await;
    match next.expect("an item of the watch") {
        Some(Ok(Change::Put(record, _))) => assert_eq!(record.key, "after"),
        Some(Err(error)) => assert_unavailable(&error),
        other => panic!("{other:?}"),
    }
    assert!(platform.server.stop().await.success());
}

pub(crate) async fn a_server_waits_for_it(backend: Backend) {
    let mut platform = Platform::start_without(backend, &["store"]).await;
    // Who nobody knows is asked for what only the store knows.
    let answer = platform.server.post("/store/read", r#"{"key":"k"}"#).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    let login = r#"{"id":"admin","secret":"micro"}"#;
    let answer = platform.server.post("/auth/token", login).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    let error = platform
        .client
        .store()
        .read("k")
        .await
        .expect_err("nothing to read");
    assert_unavailable(&error);

    platform.backend.restart().await;
    platform.is_ready().await;
    let store = platform.client.store();
    let written = Record::new("k", "value").expires_in(Duration::from_secs(600));
    wait_for("a write", || async {
        store.write(written.clone()).await.ok()
    })
    .await;
    assert!(store.read("k").await.expect("an answer").is_some());
    assert!(platform.server.stop().await.success());
}

/// A server that starts while its store is down ends when that comes back and turns out to hold
/// half of another one.
pub(crate) async fn an_unfinished_copy_serves_nobody(backend: Backend) {
    on(&backend, mark_unfinished).await;
    let mut platform = Platform::start_without(backend, &["store"]).await;
    platform.backend.restart().await;
    assert_eq!(platform.server.ended().await.code(), Some(1));
    let log = platform.server.log();
    assert!(log.contains("an unfinished copy of another one"), "{log}");
}

/// A store that has lost what was in it is no new platform: nobody gets in by the secret of the first
/// account, and nothing is read or written.
pub(crate) async fn an_emptied_store_lets_nobody_in(backend: Backend) {
    let platform = Platform::start(backend, &["store"]).await;
    let store = platform.client.store();
    store.write(Record::new("k", "v")).await.expect("a write");
    on(&platform.backend, empty).await;
    let login = r#"{"id":"admin","secret":"micro"}"#;
    wait_for("the loss is noticed", || async {
        let answer = platform.server.post("/auth/token", login).await;
        assert_ne!(answer.status, 200, "{}", answer.text());
        let report = platform.server.get("/readyz").await.text();
        let is_told = report.contains("does not hold the id of any platform");
        (is_told && answer.status == 503).then_some(())
    })
    .await;
    let error = store.read("k").await.expect_err("nothing to read");
    assert_unavailable(&error);
    // Whoever wants to begin with what is there says so by a restart.
    let server = platform.server.stopped().await.start().await;
    assert_eq!(server.post("/auth/token", login).await.status, 200);
}

/// Does something to the store behind the back of servers.
async fn on<F: Future<Output = ()>>(backend: &Backend, act: impl FnOnce(StoreHandle) -> F) {
    let folder = tempfile::tempdir().expect("a folder");
    let manifest = folder.path().join("behind.toml");
    std::fs::write(&manifest, backend.manifest(&["store"])).expect("a manifest");
    let profiles = micro_profile::Search::new([], |_| None);
    let profile = micro_profile::load(&manifest.display().to_string(), &profiles);
    let libraries = program("libmicro_etcd.so");
    let places = micro_modules::Places {
        search: libraries.parent().map(Path::to_owned).into_iter().collect(),
        state: folder.path().join("state"),
    };
    let modules = Modules::open(&profile.expect("a profile"), &places).await;
    let modules = modules.expect("modules");
    act(modules.store()).await;
    modules.shutdown().await;
}

fn call() -> Call {
    Call::new("test").with_timeout(PATIENCE)
}

/// Leaves what a copy into the store leaves when it is cut off.
async fn mark_unfinished(store: StoreHandle) {
    let table = Table::new(micro_modules::PLATFORM_DATABASE, "platform");
    let mark = Commit::new().put(table, "copying", Precondition::Any, Put::default());
    store.commit(&call(), &mark).await.expect("a commit");
}

async fn empty(store: StoreHandle) {
    for database in store.databases(&call()).await.expect("databases") {
        for table in store.tables(&call(), &database).await.expect("tables") {
            let table = Table::new(&database, &table);
            let page = store.list(&call(), table, &ListQuery::default()).await;
            for record in page.expect("records").records {
                let gone = Commit::new().delete(table, &record.key, Precondition::Any);
                store.commit(&call(), &gone).await.expect("a commit");
            }
        }
    }
}
