//! Watches that are cut off: they go on where they were, or say that they cannot.

use etcd_client::Client;
use futures::StreamExt as _;
use micro_etcd::Settings;
use micro_plugin_api::{
    BoxStream, Call, Code, Result,
    registry::{Change, Filter, Node, Service},
    store::RecordChange,
};
use micro_test_backends::{Etcd, soon};

use crate::{
    common::{TABLE, open_registry, open_store, put, settings, text},
    proxy::{Line, Proxy},
};

/// Settings that go through a proxy, and the same without it.
async fn apart(etcd: &Etcd) -> (Proxy, Settings, Settings) {
    let proxy = Proxy::start(etcd.endpoint()).await;
    let through = settings(&proxy.endpoint());
    let around = Settings {
        endpoints: vec![etcd.endpoint().to_owned()],
        ..through.clone()
    };
    (proxy, through, around)
}

/// Makes etcd forget everything but what is there now.
async fn compact(etcd: &Etcd) {
    let mut etcd = Client::connect([etcd.endpoint()], None)
        .await
        .expect("etcd");
    let now = etcd.get("x", None).await.expect("an answer");
    let now = now.header().expect("a header").revision();
    etcd.compact(now, None).await.expect("compacted");
}

async fn next<T>(watch: &mut BoxStream<Result<T>>) -> Result<T> {
    soon("a change", watch.next()).await.expect("no end")
}

fn service(name: &str, nodes: &[&str]) -> Service {
    let nodes = nodes.iter().map(|id| Node {
        id: (*id).to_owned(),
        address: "127.0.0.1:1".to_owned(),
        ..Node::default()
    });
    Service {
        domain: "micro".to_owned(),
        name: name.to_owned(),
        version: "latest".to_owned(),
        nodes: nodes.collect(),
        ..Service::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_of_the_store_is_told_what_happened_while_it_was_cut_off() {
    let etcd = Etcd::shared().await;
    let (proxy, through, around) = apart(etcd).await;
    let watch = open_store(&through)
        .await
        .watch(&Call::default(), TABLE, "")
        .await;
    let mut watch = watch.expect("a watch");
    let others = open_store(&around).await;
    put(&others, "before", text("v")).await.expect("a commit");
    assert_eq!(next(&mut watch).await.expect("a change").key(), "before");
    proxy.set(Line::Cut);
    for key in ["a", "b", "c"] {
        put(&others, key, text("v")).await.expect("a commit");
    }
    proxy.set(Line::Open);
    put(&others, "d", text("v")).await.expect("a commit");
    for wanted in ["a", "b", "c", "d"] {
        assert_eq!(next(&mut watch).await.expect("a change").key(), wanted);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_of_the_store_ends_when_etcd_has_forgotten_what_it_missed() {
    // Compacting is for all keys of an etcd.
    let etcd = Etcd::start().await;
    let (proxy, through, around) = apart(&etcd).await;
    let store = open_store(&through).await;
    let watch = store.watch(&Call::default(), TABLE, "").await;
    let mut watch = watch.expect("a watch");
    let others = open_store(&around).await;
    proxy.set(Line::Cut);
    for key in ["a", "b"] {
        put(&others, key, text("v")).await.expect("a commit");
    }
    compact(&etcd).await;
    proxy.set(Line::Open);
    let error = next(&mut watch).await.expect_err("changes were missed");
    assert_eq!(error.code(), Code::UNAVAILABLE, "{error}");
    assert!(error.is_retryable(), "{error}");
    assert!(soon("the end", watch.next()).await.is_none());

    let again = store.watch(&Call::default(), TABLE, "").await;
    let mut again = again.expect("a watch");
    put(&others, "c", text("v")).await.expect("a commit");
    let change = next(&mut again).await.expect("a change");
    assert!(matches!(change, RecordChange::Put(record) if record.key == "c"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_of_the_registry_is_told_the_difference_when_etcd_has_forgotten() {
    let etcd = Etcd::start().await;
    let (proxy, through, around) = apart(&etcd).await;
    let (call, others) = (Call::default(), open_registry(&around).await);
    let register = async |service: Service| {
        let registered = others.register(&Call::default(), &service, None).await;
        registered.expect("registered");
    };
    for name in ["goes", "grows", "stays"] {
        register(service(name, &["n"])).await;
    }
    let watch = open_registry(&through)
        .await
        .watch(&call, &Filter::default())
        .await;
    let mut watch = watch.expect("a watch");
    for name in ["goes", "grows", "stays"] {
        let present = Change::Present(service(name, &["n"]));
        assert_eq!(next(&mut watch).await.expect("a change"), present);
    }
    assert_eq!(next(&mut watch).await.expect("a change"), Change::Synced);

    proxy.set(Line::Cut);
    let gone = others.deregister(&call, &service("goes", &["n"])).await;
    gone.expect("deregistered");
    register(service("grows", &["o"])).await;
    register(service("comes", &["n"])).await;
    compact(&etcd).await;
    proxy.set(Line::Open);
    for wanted in [
        Change::Deleted(service("goes", &["n"])),
        Change::Created(service("comes", &["n"])),
        Change::Updated(service("grows", &["n", "o"])),
    ] {
        assert_eq!(next(&mut watch).await.expect("a change"), wanted);
    }
    register(service("stays", &["o"])).await;
    let wanted = Change::Updated(service("stays", &["n", "o"]));
    assert_eq!(next(&mut watch).await.expect("a change"), wanted);
}
