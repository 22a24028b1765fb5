//! The registry where etcd's own terms show: many nodes at once, and nodes whose servers cannot be
//! heard.

use std::time::Duration;

use futures::StreamExt as _;
use micro_etcd::Settings;
use micro_plugin_api::{
    Call,
    registry::{Change, Endpoint, Filter, Node, Service},
};
use micro_test_backends::{Etcd, soon};

use crate::{
    common::{open_registry, settings},
    proxy::{Line, Proxy},
};

fn service(name: &str, nodes: impl IntoIterator<Item = usize>) -> Service {
    let nodes = nodes.into_iter().map(|i| Node {
        id: format!("{i:03}"),
        address: format!("10.0.0.{i}:8080"),
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
async fn more_nodes_than_a_transaction_takes_register_in_one_call() {
    let registry = open_registry(&settings(Etcd::shared().await.endpoint())).await;
    let call = Call::default();
    let mut many = service("many", 0..250);
    // Together more than one request of etcd may hold.
    many.endpoints = vec![Endpoint {
        name: "x".repeat(20_000),
        ..Endpoint::default()
    }];
    let hour = Some(Duration::from_secs(3_600));
    registry
        .register(&call, &many, hour)
        .await
        .expect("registered");
    let listed = registry.list(&call, &Filter::default()).await;
    assert_eq!(listed.expect("a list"), [many.clone()]);
    registry
        .deregister(&call, &many)
        .await
        .expect("deregistered");
    let listed = registry.list(&call, &Filter::default()).await;
    assert_eq!(listed.expect("a list"), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_named_twice_is_one() {
    let registry = open_registry(&settings(Etcd::shared().await.endpoint())).await;
    let (call, twice) = (Call::default(), service("s", [1, 1]));
    registry
        .register(&call, &twice, None)
        .await
        .expect("registered");
    let listed = registry.list(&call, &Filter::default()).await;
    assert_eq!(listed.expect("a list"), [service("s", [1])]);
    registry
        .deregister(&call, &twice)
        .await
        .expect("deregistered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_of_the_nodes_that_are_there_says_what_the_service_is() {
    let registry = open_registry(&settings(Etcd::shared().await.endpoint())).await;
    let call = Call::default();
    for (node, build) in [(1, "old"), (2, "new")] {
        let mut service = service("s", [node]);
        service.metadata = [("build".to_owned(), build.to_owned())].into();
        registry
            .register(&call, &service, None)
            .await
            .expect("registered");
    }
    let build = async || {
        let listed = registry.list(&call, &Filter::default()).await;
        listed.expect("a list")[0].metadata["build"].clone()
    };
    assert_eq!(build().await, "new");
    registry
        .deregister(&call, &service("s", [2]))
        .await
        .expect("deregistered");
    assert_eq!(build().await, "old");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_do_not_expire_to_a_watch_that_cannot_hear_of_their_renewal() {
    let etcd = Etcd::shared().await;
    let proxy = Proxy::start(etcd.endpoint()).await;
    let through = settings(&proxy.endpoint());
    let around = Settings {
        endpoints: vec![etcd.endpoint().to_owned()],
        ..through.clone()
    };
    let (call, others) = (Call::default(), open_registry(&around).await);
    let (ttl, hour) = (Duration::from_secs(10), Duration::from_secs(3_600));
    let (node, marker) = (service("s", [1]), service("marker", [1]));
    let register = async |service: &Service, ttl| {
        let registered = others.register(&Call::default(), service, Some(ttl)).await;
        registered.expect("registered");
    };
    register(&node, hour).await;
    let registry = open_registry(&through).await;
    let watch = registry.watch(&call, &Filter::default()).await;
    let mut watch = watch.expect("a watch");
    // Once the marker is told, so is everything before it.
    register(&node, ttl).await;
    register(&marker, hour).await;
    for wanted in [
        Change::Present(node.clone()),
        Change::Synced,
        Change::Created(marker),
    ] {
        let change = soon("a change", watch.next()).await;
        assert_eq!(change.expect("no end").expect("a change"), wanted);
    }
    proxy.set(Line::Cut);
    register(&node, hour).await;
    let told = tokio::time::timeout(ttl + Duration::from_secs(2), watch.next()).await;
    assert!(told.is_err(), "told while cut off: {told:?}");
    proxy.set(Line::Open);
    let mut grown = node;
    grown.metadata = [("k".to_owned(), "v".to_owned())].into();
    register(&grown, hour).await;
    let change = soon("a change", watch.next()).await;
    let wanted = Change::Updated(grown);
    assert_eq!(change.expect("no end").expect("a change"), wanted);
}
