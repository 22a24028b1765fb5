//! Leases: they remove what has expired, and nothing else.

use std::{collections::BTreeSet, time::Duration};

use etcd_client::{Client, KeyValue};
use futures::StreamExt as _;
use micro_plugin_api::{
    Call,
    store::{Expiry, Put},
};
use micro_test_backends::{Etcd, eventually, soon};

use crate::common::{TABLE, open_store, put, read, settings, stored, text};

fn until(ttl: Duration) -> Put {
    Put {
        expiry: Some(Expiry::after(ttl)),
        ..text("v")
    }
}

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_expired_is_removed_and_no_watcher_is_told() {
    let settings = settings(Etcd::shared().await.endpoint());
    let store = open_store(&settings).await;
    let etcd = Client::connect(&settings.endpoints, None)
        .await
        .expect("etcd");
    let watch = store.watch(&Call::default(), TABLE, "").await;
    let mut watch = watch.expect("a watch");
    put(&store, "goes", until(Duration::from_millis(100)))
        .await
        .expect("a commit");
    eventually(async || read(&store, "goes").await.expect("a read").is_none()).await;
    eventually(async || stored(&mut etcd.clone(), &settings).await.is_empty()).await;
    put(&store, "next", text("v")).await.expect("a commit");
    for wanted in ["goes", "next"] {
        let change = soon("a change", watch.next()).await;
        let change = change.expect("no end").expect("a change");
        assert_eq!(change.key(), wanted);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_expire_at_about_the_same_time_share_a_lease() {
    let settings = settings(Etcd::shared().await.endpoint());
    let store = open_store(&settings).await;
    for i in 0..100 {
        put(&store, &format!("k{i}"), until(HOUR))
            .await
            .expect("a commit");
    }
    let mut etcd = Client::connect(&settings.endpoints, None)
        .await
        .expect("etcd");
    let stored = stored(&mut etcd, &settings).await;
    let leases: BTreeSet<_> = stored.iter().map(KeyValue::lease).collect();
    assert_eq!((stored.len(), leases.len()), (100, 1));
    let lasting = etcd
        .lease_time_to_live(*leases.first().expect("a lease"), None)
        .await;
    assert!(lasting.expect("an answer").ttl() > 3_600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_etcd_has_lost_is_replaced() {
    let settings = settings(Etcd::shared().await.endpoint());
    let store = open_store(&settings).await;
    put(&store, "first", until(HOUR)).await.expect("a commit");
    let mut etcd = Client::connect(&settings.endpoints, None)
        .await
        .expect("etcd");
    let lease = stored(&mut etcd, &settings).await[0].lease();
    etcd.lease_revoke(lease).await.expect("revoked");
    put(&store, "second", until(HOUR)).await.expect("a commit");
    let there = stored(&mut etcd, &settings).await;
    assert_eq!(there.len(), 1);
    assert!(there[0].lease() != 0 && there[0].lease() != lease);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_without_an_expiry_has_no_lease_whatever_it_had() {
    let settings = settings(Etcd::shared().await.endpoint());
    let store = open_store(&settings).await;
    put(&store, "k", until(HOUR)).await.expect("a commit");
    put(&store, "k", text("stays")).await.expect("a commit");
    let mut etcd = Client::connect(&settings.endpoints, None)
        .await
        .expect("etcd");
    assert_eq!(stored(&mut etcd, &settings).await[0].lease(), 0);
}
