//! What is in the stream: once each, whole or not at all, and for as long as the settings say.

use async_nats::{Client, HeaderMap, Message};
use futures::StreamExt as _;
use micro_nats::Settings;
use micro_plugin_api::{Code, Stream as _, stream::NewEvent};
use micro_test_backends::{Nats, soon};
use serde_json::Value;

use crate::{
    common::{hasty, patient, settings},
    events::{Events, TOPIC, from_the_start, member, own},
};

/// A client that is none of the plugin's.
async fn outsider(nats: &Nats) -> Client {
    async_nats::connect(nats.url()).await.unwrap()
}

fn subject(settings: &Settings) -> String {
    format!("{}.events.t.orders%2Ecreated", settings.prefix)
}

/// Stores a message as the plugin would; what JetStream answers.
async fn store(client: &Client, settings: &Settings, headers: HeaderMap, body: &str) -> Value {
    let answer = client.request_with_headers(subject(settings), headers, body.to_owned().into());
    let answer = soon("an answer", answer).await.unwrap();
    serde_json::from_slice(&answer.payload).unwrap()
}

#[tokio::test]
async fn a_server_without_jetstream_says_how_to_have_it() {
    let nats = Nats::builder().without_jetstream().start().await;
    let events = Events::open(&settings(&nats)).await;
    let (call, query) = (hasty(), from_the_start());
    let event = [NewEvent::new(TOPIC, "lost")];
    for error in [
        events.0.health(&call).await.unwrap_err(),
        events.0.publish(&call, &event).await.unwrap_err(),
        events
            .0
            .consume(&call, TOPIC, &query)
            .await
            .map(drop)
            .unwrap_err(),
    ] {
        assert_eq!(error.code(), Code::UNAVAILABLE);
        assert!(error.message().contains("`nats-server -js`"), "{error}");
    }
}

#[tokio::test]
async fn a_message_that_is_sent_again_is_stored_once() {
    let nats = Nats::shared().await;
    let (settings, client) = (own(nats), outsider(nats).await);
    let mut sent = client.subscribe(subject(&settings)).await.unwrap();
    client.flush().await.unwrap();
    let events = Events::open(&settings).await;
    events.publish(&["a", "b"]).await;
    // As one does whose acknowledgement was lost.
    let message: Message = soon("the message", sent.next()).await.unwrap();
    let body = String::from_utf8(message.payload.to_vec()).unwrap();
    let answer = store(&client, &settings, message.headers.unwrap(), &body).await;
    assert_eq!(answer["duplicate"], true, "{answer}");
    assert_eq!(events.history().await, ["a", "b"]);
}

#[tokio::test]
async fn a_batch_whose_publisher_was_gone_half_way_is_void_for_everybody() {
    let nats = Nats::shared().await;
    let (settings, client) = (own(nats), outsider(nats).await);
    let events = Events::open(&settings).await;
    events.publish(&["before"]).await;
    let mut headers = HeaderMap::new();
    headers.insert("Micro-Batch", "a-batch-for-many-topics");
    let part = r#"[{"id":"019","size":4}]"#.to_owned() + "\nhalf";
    let answer = store(&client, &settings, headers, &part).await;
    assert!(answer["seq"].is_u64(), "{answer}");
    events.publish(&["after"]).await;
    let mut alone = events.consume(&from_the_start()).await;
    let mut grouped = events.consume(&member()).await;
    for inbox in [&mut alone, &mut grouped] {
        assert_eq!(inbox.text().await, "before");
        assert_eq!(inbox.text().await, "after");
    }
    assert_eq!(events.history().await, ["before", "after"]);
}

#[tokio::test]
async fn what_is_no_event_is_left_out() {
    let nats = Nats::shared().await;
    let (settings, client) = (own(nats), outsider(nats).await);
    let events = Events::open(&settings).await;
    events.publish(&["a"]).await;
    store(&client, &settings, HeaderMap::new(), "hello").await;
    events.publish(&["b"]).await;
    let mut alone = events.consume(&from_the_start()).await;
    let mut grouped = events.consume(&member()).await;
    for inbox in [&mut alone, &mut grouped] {
        assert_eq!(inbox.text().await, "a");
        assert_eq!(inbox.text().await, "b");
    }
    assert_eq!(events.history().await, ["a", "b"]);
}

#[tokio::test]
async fn events_that_are_larger_than_a_message_go_in_pieces() {
    let nats = Nats::builder().config("max_payload: 65536").start().await;
    let events = Events::open(&own(&nats)).await;
    let large: Vec<_> = (0..NewEvent::MAX_PAYLOAD)
        .map(|at| (at % 251) as u8)
        .collect();
    let batch = [
        NewEvent::new(TOPIC, "small"),
        NewEvent::new(TOPIC, large.clone()),
        NewEvent::new("another", vec![7; 100_000]),
    ];
    events.0.publish(&patient(), &batch).await.unwrap();
    let mut inbox = events.consume(&member()).await;
    assert_eq!(inbox.text().await, "small");
    let delivery = inbox.next().await;
    assert!(delivery.event.payload == large, "another payload came");
    assert_eq!(events.history().await.len(), 2);
}

#[tokio::test]
async fn settings_that_change_are_those_of_the_stream_that_is_there() {
    let nats = Nats::shared().await;
    let (settings, client) = (own(nats), outsider(nats).await);
    for max_age in [3_600, 60] {
        let settings = Settings {
            max_age,
            ..settings.clone()
        };
        Events::open(&settings)
            .await
            .0
            .health(&patient())
            .await
            .unwrap();
        let info = format!("$JS.API.STREAM.INFO.{}_events", settings.prefix);
        let info = client.request(info, "".into()).await.unwrap();
        let info: Value = serde_json::from_slice(&info.payload).unwrap();
        assert_eq!(info["config"]["max_age"], max_age * 1_000_000_000, "{info}");
    }
}
