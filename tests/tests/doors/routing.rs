//! Where calls go: choice of node, failures that are tried elsewhere, and a registry with faults.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use micro_tests::{PATIENCE, wait_for};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::timeout,
};

use crate::{
    node::{Client, Incoming, nobody, node},
    platform::Platform,
    transparency::{PATH, things},
};

/// A node that answers with its name.
async fn named(name: &'static str) -> SocketAddr {
    node(move |mut call: Incoming| async move {
        call.body().await;
        call.answer(name);
    })
    .await
}

#[tokio::test]
async fn calls_are_spread_over_the_nodes() {
    let platform = Platform::start().await;
    platform
        .register("things", &[named("a").await, named("b").await])
        .await;
    let door = platform.proxy().await;
    let client = Client::connect(door.address).await;
    let mut seen = [0; 2];
    for _ in 0..60 {
        let answer = client.call(PATH, &[], "x").await.unwrap();
        seen[usize::from(answer.body == "b")] += 1;
    }
    assert!(seen.iter().all(|count| *count >= 10), "{seen:?}");
}

#[tokio::test]
async fn a_call_for_one_node_goes_to_it_alone() {
    let platform = Platform::start().await;
    let dead = nobody().await;
    let quiet = node(|mut call: Incoming| async move {
        call.body().await;
        let pinned = call.request.headers().contains_key("micro-node");
        call.answer(if pinned { "told" } else { "b" });
    })
    .await;
    let nodes = [named("a").await, quiet, dead];
    platform.register("things", &nodes).await;
    let door = platform.proxy().await;
    let client = Client::connect(door.address).await;
    let to = |id: String| {
        let client = &client;
        async move {
            let headers = [("micro-node", id.as_str())];
            client.call(PATH, &headers, "x").await.unwrap()
        }
    };
    let [first, second, dead] = nodes.map(|address| format!("things-{address}"));
    for _ in 0..10 {
        assert_eq!(to(first.clone()).await.body, "a");
        assert_eq!(to(second.clone()).await.body, "b");
    }
    assert_eq!(to(dead).await.error().1.code, 503);
    let (code, error) = to("nosuch".into()).await.error();
    assert_eq!((code, error.code), (5, 404));
    assert_eq!(error.detail, "service things has no node nosuch");
}

#[tokio::test]
async fn a_dead_node_is_passed_over_and_left_alone() {
    let platform = Platform::start().await;
    platform
        .register("things", &[nobody().await, named("a").await])
        .await;
    let door = platform.proxy().await;
    let client = Client::connect(door.address).await;
    for _ in 0..40 {
        let answer = client.call(PATH, &[], "x").await.unwrap();
        assert_eq!(answer.body, "a");
    }
    let route = platform.routes.get("micro", "things").unwrap();
    let resting = route.nodes().iter().filter(|node| !node.is_available());
    assert!(resting.count() <= 1);
    assert!(route.nodes().iter().all(|node| node.in_flight() == 0));
}

#[tokio::test]
async fn without_a_living_node_the_error_says_so() {
    let platform = Platform::start().await;
    let dead = nobody().await;
    platform.register("things", &[dead]).await;
    let door = platform.proxy().await;
    let client = Client::connect(door.address).await;
    let answer = client.call(PATH, &[], "x").await.unwrap();
    let (code, error) = answer.error();
    assert_eq!((code, error.code), (14, 503), "{error}");
    assert!(error.detail.contains(&dead.to_string()), "{error}");
    let route = platform.routes.get("micro", "things").unwrap();
    assert!(
        !route.nodes()[0].is_available(),
        "it is within its back-off now"
    );
    // The next call does not even try.
    let (_, error) = client.call(PATH, &[], "x").await.unwrap().error();
    assert!(error.detail.contains("a moment ago"), "{error}");
}

#[tokio::test]
async fn refused_calls_are_tried_elsewhere_and_failed_ones_are_not() {
    let refusals = Arc::new(AtomicUsize::new(0));
    let count = refusals.clone();
    let refusing = node(move |mut call: Incoming| {
        count.fetch_add(1, Ordering::SeqCst);
        async move { call.respond.send_reset(h2::Reason::REFUSED_STREAM) }
    })
    .await;
    let platform = Platform::start().await;
    platform
        .register("things", &[refusing, named("a").await])
        .await;
    let door = platform.proxy().await;
    let client = Client::connect(door.address).await;
    for _ in 0..20 {
        let answer = client.call(PATH, &[], "some body").await.unwrap();
        assert_eq!(answer.body, "a");
    }
    assert!(refusals.load(Ordering::SeqCst) > 0);

    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let (_platform, _door, client) = things(move |mut call| {
        count.fetch_add(1, Ordering::SeqCst);
        async move { call.respond.send_reset(h2::Reason::INTERNAL_ERROR) }
    })
    .await;
    let (code, error) = client.call(PATH, &[], "x").await.unwrap().error();
    assert_eq!((code, error.code), (13, 500), "{error}");
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

/// A node whose first connection says GOAWAY to the first call, unprocessed; the next is good.
#[tokio::test]
async fn a_call_that_met_a_goaway_is_made_again() {
    const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    const GOAWAY: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut leaving, _) = listener.accept().await.unwrap();
        leaving.write_all(SETTINGS).await.unwrap();
        let mut seen = Vec::new();
        // A HEADERS frame has type 1 and, as the client's first, stream id 1.
        while !seen
            .windows(6)
            .any(|it| it[0] == 1 && it[2..] == [0, 0, 0, 1])
        {
            leaving.read_buf(&mut seen).await.unwrap();
        }
        leaving.write_all(GOAWAY).await.unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(socket).await.unwrap();
        while let Some(Ok((request, respond))) = connection.accept().await {
            tokio::spawn(async move {
                let mut call = Incoming { request, respond };
                let body = call.body().await;
                call.answer(body);
            });
        }
    });
    let platform = Platform::start().await;
    platform.register("things", &[address]).await;
    let door = platform.proxy().await;
    let client = Client::connect(door.address).await;
    let answer = timeout(PATIENCE, client.call(PATH, &[], "again"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answer.body, "again");
}

#[tokio::test]
async fn a_connection_that_breaks_in_a_call_is_an_error_and_the_next_call_goes_through() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(socket).await.unwrap();
        let call = connection.accept().await;
        drop((connection, call));
        let (socket, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(socket).await.unwrap();
        while let Some(Ok((request, respond))) = connection.accept().await {
            Incoming { request, respond }.answer("fine");
        }
    });
    let platform = Platform::start().await;
    platform.register("things", &[address]).await;
    let door = platform.proxy().await;
    let client = Client::connect(door.address).await;
    let answer = timeout(PATIENCE, client.call(PATH, &[], "x"))
        .await
        .unwrap()
        .unwrap();
    let (code, error) = answer.error();
    assert_eq!((code, error.code), (14, 503), "{error}");
    let answer = timeout(PATIENCE, client.call(PATH, &[], "x"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answer.body, "fine");
}

#[tokio::test]
async fn unknown_services_and_reserved_names_are_not_found() {
    let platform = Platform::start().await;
    let decoy = named("decoy").await;
    platform.register("router", &[decoy]).await;
    platform.register("registry", &[decoy]).await;
    let door = platform.proxy().await;
    let client = Client::connect(door.address).await;
    for service in ["nosuch", "router"] {
        let path = format!("/{service}.Foo/Bar");
        let answer = client.call(&path, &[], "x").await.unwrap();
        let (code, error) = answer.error();
        assert_eq!((code, error.code), (5, 404));
        assert_eq!(error.id, "go.micro.client");
        assert_eq!(error.detail, format!("service {service}: route not found"));
    }
    let path = "/registry.Registry/ListServices";
    let answer = client.call(path, &[], &[0u8; 5][..]).await.unwrap();
    assert_eq!(answer.trailer("grpc-status"), Some("0"));
    assert_ne!(answer.body, "decoy");
    // Another namespace sees neither, but the core.
    platform.register("things", &[decoy]).await;
    let elsewhere = [("micro-namespace", "other")];
    let answer = client.call(PATH, &elsewhere, "x").await.unwrap();
    assert_eq!(answer.error().1.code, 404);
    let answer = client.call(path, &elsewhere, &[0u8; 5][..]).await.unwrap();
    assert_eq!(answer.trailer("grpc-status"), Some("0"));
}

#[tokio::test]
async fn lookups_that_miss_share_one_refresh() {
    let platform = Platform::start_with(|registry| {
        registry.deaf.store(true, Ordering::SeqCst);
        *registry.slow.lock().unwrap() = Duration::from_millis(300);
    })
    .await;
    platform.register("things", &[named("a").await]).await;
    let door = platform.proxy().await;
    let client = Client::connect(door.address).await;
    let calls = (0..50).map(|_| client.call(PATH, &[], "x"));
    for answer in join_all(calls).await {
        assert_eq!(answer.unwrap().body, "a");
    }
    assert_eq!(platform.registry.lists.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_dead_registry_leaves_what_it_said_last() {
    let platform = Platform::start().await;
    platform.register("things", &[named("a").await]).await;
    let door = platform.proxy().await;
    let client = Client::connect(door.address).await;
    assert_eq!(client.call(PATH, &[], "x").await.unwrap().body, "a");
    platform.registry.dead.send_replace(true);
    assert_eq!(client.call(PATH, &[], "x").await.unwrap().body, "a");
    let (code, error) = client.call("/new.New/Do", &[], "x").await.unwrap().error();
    assert_eq!((code, error.code), (14, 503), "not 404, which nobody knows");
    assert!(error.detail.contains("the registry is dead"), "{error}");
    // What has changed meanwhile is seen once it is back, by the watch alone.
    platform.register("new", &[named("n").await]).await;
    platform.registry.dead.send_replace(false);
    wait_for("the watch to start again", || async {
        platform.routes.get("micro", "new")
    })
    .await;
    assert_eq!(
        client.call("/new.New/Do", &[], "x").await.unwrap().body,
        "n"
    );
}

#[tokio::test]
async fn many_streams_use_a_few_connections() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let (count, go) = (connections.clone(), tokio::sync::watch::Sender::new(false));
    let gone = go.subscribe();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            let gone = gone.clone();
            tokio::spawn(async move {
                let mut connection = h2::server::Builder::new()
                    .max_concurrent_streams(10)
                    .handshake(socket)
                    .await
                    .unwrap();
                while let Some(Ok((request, respond))) = connection.accept().await {
                    let mut gone = gone.clone();
                    tokio::spawn(async move {
                        let mut call = Incoming { request, respond };
                        gone.wait_for(|go| *go).await.unwrap();
                        call.answer("done");
                    });
                }
            });
        }
    });
    let platform = Platform::start().await;
    platform.register("things", &[address]).await;
    let door = platform.proxy().await;
    let client = Client::connect(door.address).await;
    let calls: Vec<_> = (0..80)
        .map(|_| {
            let mut calling = client.start(PATH, &[]);
            calling.request.send_data("x".into(), true).unwrap();
            tokio::spawn(crate::node::answer(calling.response))
        })
        .collect();
    let crowded = || async { (connections.load(Ordering::SeqCst) > 1).then_some(()) };
    wait_for("another connection", crowded).await;
    go.send(true).unwrap();
    for call in calls {
        assert_eq!(
            timeout(PATIENCE, call)
                .await
                .unwrap()
                .unwrap()
                .unwrap()
                .body,
            "done"
        );
    }
    let made = connections.load(Ordering::SeqCst);
    assert!(made <= 4, "{made} connections");
}

#[tokio::test]
async fn a_record_that_points_back_at_the_door_ends() {
    let platform = Platform::start().await;
    let door = platform.proxy().await;
    platform.register("things", &[door.address]).await;
    let client = Client::connect(door.address).await;
    let answer = timeout(PATIENCE, client.call(PATH, &[], "x"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answer.error().1.code, 508);
}
