//! Streams of plugins that grow without bound: the server cuts them or holds them back, stays small,
//! and serves the rest.

use std::fs;

use micro::{Client, broker::Message};
use micro_proto::{broker, events};
use micro_tests::{Server, grpc::Connection, wait_for};
use tonic::{Request, transport::Channel};

use crate::zoo::{served, the_rest_serves};

/// The most that a server may ever have held, in kibibytes: the bounds of its streams several times
/// over, and a small part of what a flood brings meanwhile.
const MOST_KIB: u64 = 1_500 << 10;

/// A server with one kind of too much in these modules.
async fn flooded(excess: &str, modules: &[&str]) -> Server {
    let modules = modules
        .iter()
        .map(|module| format!("[{module}]\nplugin = 'zoo'\nexcess = '{excess}'\n"));
    served(&format!(
        "extends = 'test'\n{}",
        modules.collect::<String>()
    ))
    .await
}

/// The rest serves, and the server has at no time been large.
async fn is_well(server: &mut Server) {
    the_rest_serves(server).await;
    let path = format!("/proc/{}/status", server.process().pid());
    let status = fs::read_to_string(path).expect("a process");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|peak| peak.split_whitespace().next()?.parse().ok());
    let peak: u64 = peak.expect("the kernel tells the peak");
    assert!(peak < MOST_KIB, "{peak} KiB");
}

fn client(server: &Server) -> Client {
    let client = Client::builder()
        .address(server.proxy().to_string())
        .account("admin", "micro")
        .retries(0);
    client.build().expect("a client")
}

async fn token(server: &Server) -> String {
    let door = Connection::open(&server.proxy().to_string()).await;
    let token = door.expect("a door").login(600).await.expect("a token");
    format!("Bearer {token}")
}

/// A request of the first account.
fn of_admin<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let token = token.parse().expect("a header");
    request.metadata_mut().insert("authorization", token);
    request
}

#[tokio::test]
async fn a_blob_that_does_not_end_is_cut_at_its_size() {
    for excess in ["stream", "items"] {
        let mut server = flooded(excess, &["blob"]).await;
        let blobs = client(&server).blobs();
        blobs.write("k", "hello").await.expect("a write");
        let error = blobs.read("k").await.expect_err("more than it says");
        assert_eq!(error.code, 500, "{error:?}");
        let words = "the plugin zoo sent more than the 5 bytes";
        assert!(error.detail.contains(words), "{error:?}");
        is_well(&mut server).await;
        assert!(server.stop().await.success());
    }
}

/// Nobody reads: nothing comes. Somebody reads: the rest does not wait for that to end.
#[tokio::test]
async fn messages_and_events_without_end_come_as_they_are_read() {
    let mut server = flooded("stream", &["broker", "stream"]).await;
    let token = token(&server).await;
    let door = Channel::from_shared(format!("http://{}", server.proxy()));
    let door = door.expect("an address").connect().await.expect("a door");
    let mut messages = broker::broker_client::BrokerClient::new(door.clone());
    let mut topics = events::events_client::EventsClient::new(door);
    let topic = || "t".to_owned();
    let subscribe = || broker::SubscribeRequest {
        topic: topic(),
        ..Default::default()
    };
    let consume = || events::ConsumeRequest {
        topic: topic(),
        ..Default::default()
    };
    // Held, and not read.
    let unread = messages.subscribe(of_admin(&token, subscribe())).await;
    let unconsumed = topics.consume(of_admin(&token, consume())).await;
    let (_unread, _unconsumed) = (unread.expect("a stream"), unconsumed.expect("a stream"));
    // Read for as long as the rest is looked at.
    let read = messages.subscribe(of_admin(&token, subscribe())).await;
    let mut read = read.expect("a stream").into_inner();
    let reading = tokio::spawn(async move { while let Ok(Some(_)) = read.message().await {} });
    let consumed = topics.consume(of_admin(&token, consume())).await;
    let mut consumed = consumed.expect("a stream").into_inner();
    for _ in 0..5_000 {
        let event = consumed.message().await.expect("an event");
        assert_eq!(event.expect("no end").payload.len(), 1 << 10);
    }
    is_well(&mut server).await;
    assert!(!reading.is_finished(), "the subscription ended");
    reading.abort();
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn items_that_grow_end_their_stream() {
    let mut server = flooded("items", &["broker", "stream"]).await;
    let authorization = token(&server).await;
    let door = Connection::open(&server.proxy().to_string()).await;
    let (door, metadata) = (door.expect("a door"), [("authorization", &*authorization)]);
    let subscribe = broker::SubscribeRequest {
        topic: "t".to_owned(),
        ..Default::default()
    };
    let consume = events::ConsumeRequest {
        topic: "t".to_owned(),
        ..Default::default()
    };
    let messages = door
        .call("/broker.Broker/Subscribe", &metadata, &[subscribe])
        .await;
    let events = door
        .call("/events.Events/Consume", &metadata, &[consume])
        .await;
    for ended in [messages, events] {
        let ended = ended.expect("an answer");
        assert_eq!(ended.status, 13, "{}", ended.message);
        let words = "the plugin zoo sent an item of";
        assert!(ended.message.contains(words), "{}", ended.message);
        // Of 1 KiB to 1 MiB.
        assert!(ended.messages.len() >= 10, "{}", ended.messages.len());
    }
    is_well(&mut server).await;
    assert!(server.stop().await.success());
}

/// A broker that keeps everything for a subscriber who reads nothing: the rest serves meanwhile.
#[tokio::test]
async fn what_waits_in_a_plugin_without_bound_holds_nothing_up() {
    let mut server = flooded("backlog", &["broker"]).await;
    // Two connections: what is not read on one holds up what else comes by it.
    let reader = client(&server).broker();
    let mut subscription = reader.subscribe("t").await.expect("a subscription");
    let broker = client(&server).broker();
    for _ in 0..200 {
        let message = Message::new(vec![b'x'; 10_000]);
        broker.publish("t", message).await.expect("a publish");
    }
    is_well(&mut server).await;
    for _ in 0..200 {
        assert_eq!(subscription.next().await.body.len(), 10_000);
    }
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn a_registry_that_makes_up_services_is_not_followed() {
    for excess in ["stream", "items"] {
        let mut server = flooded(excess, &["registry"]).await;
        wait_for("the watch to be given up", || async {
            let log = server.log();
            let routes = "cannot watch the registry, routing by what it said last: the plugin zoo ";
            log.contains(routes).then_some(())
        })
        .await;
        is_well(&mut server).await;
        assert!(server.stop().await.success());
    }
}

/// Nothing grows; there is always a change more.
#[tokio::test]
async fn a_registry_that_changes_without_end_leaves_time_for_the_rest() {
    let mut server = flooded("changes", &["registry"]).await;
    is_well(&mut server).await;
    assert!(server.stop().await.success());
}
