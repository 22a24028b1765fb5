//! The core service `registry`: what it answers, and to whom.

use std::{collections::HashMap, time::Duration};

use micro_plugin_api::{Call, registry as module};
use micro_proto::registry::{
    Endpoint, GetRequest, ListRequest, Node, Options, Result as WatchResult, Service, Value,
    WatchRequest, registry_client::RegistryClient,
};
use micro_tests::{
    Core, Door, PATIENCE,
    callers::{admin, anonymous, service, user, within},
    wait_for,
};
use micro_wire::Error;
use tonic::{Status, Streaming};

use crate::error;

fn registry(door: Door) -> RegistryClient<Door> {
    RegistryClient::new(door)
}

fn options(domain: &str, ttl: i64) -> Option<Options> {
    Some(Options {
        ttl,
        domain: domain.to_owned(),
    })
}

/// A service with one node, as a Go service registers it.
fn record(name: &str, node: &str) -> Service {
    Service {
        name: name.to_owned(),
        version: "latest".to_owned(),
        nodes: vec![Node {
            id: node.to_owned(),
            address: "127.0.0.1:4040".to_owned(),
            port: 0,
            metadata: HashMap::from([("server".to_owned(), "grpc".to_owned())]),
        }],
        ..Service::default()
    }
}

fn get(name: &str, domain: &str) -> GetRequest {
    GetRequest {
        service: name.to_owned(),
        options: options(domain, 0),
    }
}

async fn names(client: &mut RegistryClient<Door>, domain: &str) -> Result<Vec<String>, Status> {
    let request = ListRequest {
        options: options(domain, 0),
    };
    let services = client.list_services(request).await?.into_inner().services;
    Ok(services.into_iter().map(|service| service.name).collect())
}

#[tokio::test]
async fn what_is_registered_is_found() {
    let core = Core::start().await;
    let mut client = registry(core.by(service("micro")));
    let value = |name: &str, values| Value {
        name: name.to_owned(),
        r#type: name.to_owned(),
        values,
    };
    let mut helloworld = record("helloworld", "helloworld-1");
    helloworld.options = options("micro", 90);
    helloworld.endpoints = vec![Endpoint {
        name: "Helloworld.Call".to_owned(),
        request: Some(value("Request", vec![value("name", vec![])])),
        response: Some(value("Response", vec![])),
        metadata: HashMap::from([("stream".to_owned(), "true".to_owned())]),
    }];
    helloworld.nodes[0].address = "[fd00::2]:46067".to_owned();
    client.register(helloworld.clone()).await.unwrap();
    let mut second = helloworld.clone();
    second.nodes[0].id = "helloworld-2".to_owned();
    second.nodes[0].address = "10.0.0.1".to_owned();
    second.nodes[0].port = 8_080;
    client.register(second.clone()).await.unwrap();
    let mut other = record("helloworld", "helloworld-3");
    other.version = "v2".to_owned();
    client.register(other).await.unwrap();

    // Nobody needs an account to read.
    let mut reader = registry(core.by(anonymous("micro")));
    let found = reader
        .get_service(get("helloworld", ""))
        .await
        .unwrap()
        .into_inner()
        .services;
    let versions: Vec<_> = found
        .iter()
        .map(|service| service.version.as_str())
        .collect();
    assert_eq!(versions, ["latest", "v2"]);
    let domain = ("domain".to_owned(), "micro".to_owned());
    helloworld.metadata.extend([domain.clone()]);
    helloworld.nodes.extend(second.nodes);
    for node in &mut helloworld.nodes {
        node.metadata.extend([domain.clone()]);
    }
    helloworld.options = Some(Options::default());
    assert_eq!(found[0], helloworld);
    let listed = reader
        .list_services(ListRequest::default())
        .await
        .unwrap()
        .into_inner()
        .services;
    assert_eq!(listed, found);
    let missing = reader.get_service(get("nosuch", "")).await;
    let wanted = (404, "service not found".to_owned());
    assert_eq!(error("registry.Registry.GetService", missing), wanted);
    let unnamed = reader.get_service(get("", "")).await;
    assert_eq!(error("registry.Registry.GetService", unnamed).0, 400);

    // As a Go service stops: name, version and the node's id alone.
    let mut stops = record("helloworld", "helloworld-1");
    stops.nodes[0].address.clear();
    client.deregister(stops.clone()).await.unwrap();
    client.deregister(stops).await.unwrap();
    let found = reader
        .get_service(get("helloworld", ""))
        .await
        .unwrap()
        .into_inner()
        .services;
    let nodes: Vec<_> = found[0].nodes.iter().map(|node| node.id.as_str()).collect();
    assert_eq!(nodes, ["helloworld-2"]);
}

#[tokio::test]
async fn a_node_that_is_not_renewed_expires() {
    let core = Core::start().await;
    let mut client = registry(core.by(service("micro")));
    let mut short = record("short", "n");
    short.options = options("", 1);
    client.register(short).await.unwrap();
    client.register(record("long", "n")).await.unwrap();
    assert_eq!(names(&mut client, "").await.unwrap(), ["long", "short"]);
    wait_for("the node to expire", || {
        let mut client = client.clone();
        async move { (names(&mut client, "").await.unwrap() == ["long"]).then_some(()) }
    })
    .await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let core = Core::start().await;
    let mut client = registry(core.by(admin("micro")));
    let id = "registry.Registry.Register";
    let with = |change: fn(&mut Service)| {
        let mut service = record("s", "n");
        change(&mut service);
        service
    };
    for (wrong, text) in [
        (with(|service| service.name.clear()), "Missing service name"),
        (with(|service| service.nodes.clear()), "no node"),
        (with(|service| service.nodes[0].id.clear()), "no id"),
        (
            with(|service| service.nodes[0].address.clear()),
            "no address",
        ),
        (with(|service| service.nodes[0].port = 70_000), "70000"),
        (
            with(|service| service.nodes[0].address = "nowhere".to_owned()),
            "not HOST:PORT",
        ),
        (
            with(|service| service.name = "a/b".to_owned()),
            "cannot be a service's",
        ),
        (
            with(|service| service.name = "x".repeat(5000)),
            "cannot be a service's",
        ),
        (
            with(|service| service.version = "x".repeat(5000)),
            "longer than 253 bytes",
        ),
        (
            with(|service| service.options = options("a/b", 0)),
            "cannot be a namespace",
        ),
        (
            with(|service| service.options = options(&"x".repeat(5000), 0)),
            "cannot be a namespace",
        ),
        (
            with(|service| service.options = options("", -1)),
            "-1 seconds",
        ),
        (
            with(|service| service.options = options("*", 0)),
            "one domain",
        ),
    ] {
        let (code, detail) = error(id, client.register(wrong).await);
        assert!(code == 400 && detail.contains(text), "{detail}");
        assert!(detail.len() < 400, "{detail}");
    }
    assert!(names(&mut client, "*").await.unwrap().is_empty());
    client
        .register(with(|service| service.version.clear()))
        .await
        .unwrap();
    let found = client
        .get_service(get("s", ""))
        .await
        .unwrap()
        .into_inner()
        .services;
    assert_eq!(found[0].version, "latest");
}

#[tokio::test]
async fn the_names_of_the_platform_are_taken() {
    let core = Core::start().await;
    let reserved = [
        "api", "auth", "broker", "config", "debug", "events", "network", "profile", "proxy",
        "registry", "router", "runtime", "store", "web",
    ];
    for name in reserved {
        for door in [core.by(admin("micro")), core.by(service("foo"))] {
            let mut client = registry(door);
            let registered = client.register(record(name, "n")).await;
            let (code, detail) = error("registry.Registry.Register", registered);
            assert!(code == 409 && detail.contains(name), "{detail}");
            let removed = client.deregister(record(name, "n")).await;
            assert_eq!(error("registry.Registry.Deregister", removed).0, 409);
        }
    }
}

#[tokio::test]
async fn who_may_do_what() {
    let core = Core::start().await;
    let required = (401, "An account is required".to_owned());
    let denied = (403, "Access denied to namespace".to_owned());
    let plain = (401, "Unauthorized".to_owned());
    registry(core.by(service("foo")))
        .register(record("s", "n"))
        .await
        .unwrap();
    registry(core.by(admin("micro")))
        .register(record("m", "n"))
        .await
        .unwrap();
    for (door, domain, wanted) in [
        (core.by(anonymous("micro")), "", &required),
        (core.by(within("foo", anonymous("micro"))), "", &required),
        (core.by(user("foo")), "", &plain),
        (core.by(service("foo")), "micro", &denied),
        (core.by(within("micro", admin("foo"))), "", &denied),
        (core.by(admin("micro")), "$platform", &denied),
    ] {
        let mut client = registry(door);
        let mut written = record("x", "n");
        written.options = options(domain, 0);
        let registered = client.register(written.clone()).await;
        assert_eq!(&error("registry.Registry.Register", registered), wanted);
        let removed = client.deregister(written).await;
        assert_eq!(&error("registry.Registry.Deregister", removed), wanted);
    }
    let read = async |door: Door, domain: &str| {
        let mut client = registry(door);
        let names = names(&mut client, domain).await;
        let request = WatchRequest {
            service: String::new(),
            options: options(domain, 0),
        };
        let watch = client.watch(request).await;
        assert_eq!(watch.is_ok(), names.is_ok(), "{domain}");
        let found = client.get_service(get("s", domain)).await;
        let denied = |status: &Status| matches!(Error::from_status(status).code, 401 | 403);
        assert_eq!(
            found.as_ref().is_err_and(denied),
            names.is_err(),
            "{domain}"
        );
        names
    };
    let list = "registry.Registry.ListServices";
    // In one's own namespace the rules alone decide, and the platform's domain is everybody's.
    assert_eq!(
        read(core.by(within("foo", anonymous("micro"))), "")
            .await
            .unwrap(),
        ["s"]
    );
    assert_eq!(
        read(core.by(within("foo", anonymous("micro"))), "micro")
            .await
            .unwrap(),
        ["m"]
    );
    assert_eq!(
        error(list, read(core.by(anonymous("micro")), "foo").await),
        required
    );
    assert_eq!(
        read(core.by(within("micro", user("foo"))), "foo")
            .await
            .unwrap(),
        ["s"]
    );
    assert_eq!(
        error(list, read(core.by(admin("bar")), "foo").await),
        denied
    );
    assert_eq!(read(core.by(admin("micro")), "foo").await.unwrap(), ["s"]);
    // All at once takes one who may act everywhere.
    assert_eq!(
        error(list, read(core.by(anonymous("micro")), "*").await),
        required
    );
    assert_eq!(
        error(
            list,
            read(core.by(within("*", anonymous("micro"))), "").await
        ),
        required
    );
    assert_eq!(error(list, read(core.by(admin("foo")), "*").await), denied);
    assert_eq!(error(list, read(core.by(user("micro")), "*").await), denied);
    assert_eq!(
        read(core.by(admin("micro")), "*").await.unwrap(),
        ["s", "m"]
    );
}

async fn next(results: &mut Streaming<WatchResult>) -> (String, Service) {
    let result = tokio::time::timeout(PATIENCE, results.message()).await;
    let result = result.expect("a change").unwrap().expect("no end");
    assert!(result.timestamp > 0);
    (result.action, result.service.expect("a service"))
}

#[tokio::test]
async fn a_watch_tells_of_changes_and_not_of_what_was_there() {
    let core = Core::start().await;
    let mut client = registry(core.by(service("micro")));
    client.register(record("before", "n")).await.unwrap();
    let watch = |service: &str| WatchRequest {
        service: service.to_owned(),
        options: None,
    };
    let mut anonymous = registry(core.by(anonymous("micro")));
    let mut all = anonymous.watch(watch("")).await.unwrap().into_inner();
    let mut one = anonymous.watch(watch("b")).await.unwrap().into_inner();
    let mut a = record("a", "1");
    a.options = options("", 1);
    client.register(a).await.unwrap();
    client.register(record("b", "1")).await.unwrap();
    client.register(record("b", "2")).await.unwrap();
    client.deregister(record("b", "1")).await.unwrap();
    client.deregister(record("b", "2")).await.unwrap();
    let seen = async |results: &mut Streaming<WatchResult>| {
        let (action, service) = next(results).await;
        assert_eq!(service.metadata["domain"], "micro");
        let nodes: Vec<_> = service.nodes.iter().map(|node| node.id.clone()).collect();
        (action, service.name, nodes.join(" "))
    };
    let told = |action: &str, name: &str, nodes: &str| {
        (action.to_owned(), name.to_owned(), nodes.to_owned())
    };
    assert_eq!(seen(&mut all).await, told("create", "a", "1"));
    for wanted in [
        told("create", "b", "1"),
        told("update", "b", "1 2"),
        told("update", "b", "2"),
        told("delete", "b", "2"),
    ] {
        assert_eq!(seen(&mut all).await, wanted);
        assert_eq!(seen(&mut one).await, wanted);
    }
    // Nobody says so, it expires.
    assert_eq!(seen(&mut all).await, told("delete", "a", "1"));
}

#[tokio::test]
async fn the_server_itself_may_register_its_services() {
    let core = Core::start().await;
    let record = module::Service {
        domain: "micro".to_owned(),
        name: "store".to_owned(),
        version: "latest".to_owned(),
        nodes: vec![module::Node {
            id: "store-1".to_owned(),
            address: "127.0.0.1:8443".to_owned(),
            ..module::Node::default()
        }],
        ..module::Service::default()
    };
    let ttl = Some(Duration::from_secs(90));
    core.modules
        .registry()
        .register(&Call::default(), &record, ttl)
        .await
        .unwrap();
    assert_eq!(
        names(&mut registry(core.by(anonymous("micro"))), "")
            .await
            .unwrap(),
        ["store"]
    );
}

#[tokio::test]
async fn a_version_has_room_for_so_many_nodes() {
    let core = Core::start().await;
    let mut client = registry(core.by(admin("micro")));
    let nodes = |from: usize, number: usize| {
        let mut record = record("s", "n");
        let node = record.nodes[0].clone();
        record.nodes = (from..from + number)
            .map(|n| Node {
                id: format!("n{n}"),
                ..node.clone()
            })
            .collect();
        record
    };
    for tenth in 0..10 {
        client.register(nodes(tenth * 100, 100)).await.unwrap();
    }
    let id = "registry.Registry.Register";
    let (code, detail) = error(id, client.register(nodes(1000, 1)).await);
    assert!(code == 400 && detail.contains("1000 nodes"), "{detail}");
    let (code, detail) = error(id, client.register(nodes(0, 101)).await);
    assert!(code == 400 && detail.contains("101 nodes"), "{detail}");
    // Those that are there are renewed all the same.
    client.register(nodes(900, 100)).await.unwrap();
}
