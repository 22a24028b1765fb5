//! The core service `broker`: who gets which messages, who may, and what slow subscribers are told.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures::stream;
use micro_proto::{
    broker::{Message, PublishRequest, SubscribeRequest, broker_client::BrokerClient},
    registry::{Event, EventType, Service, registry_client::RegistryClient},
};
use micro_tests::{
    Core, Door, PATIENCE,
    callers::{admin, anonymous, service, user, within},
};
use prost::Message as _;
use tonic::{Code, Request, Status, Streaming};

use crate::error;

type Messages = Streaming<Message>;

fn brokers(door: Door) -> BrokerClient<Door> {
    BrokerClient::new(door)
}

fn message(topic: &str, text: impl Into<Bytes>) -> PublishRequest {
    PublishRequest {
        topic: topic.to_owned(),
        message: Some(Message {
            body: text.into(),
            ..Message::default()
        }),
    }
}

async fn subscribe(door: &Door, topic: &str, queue: &str) -> Result<Messages, Status> {
    let request = SubscribeRequest {
        topic: topic.to_owned(),
        queue: queue.to_owned(),
    };
    let answer = brokers(door.clone()).subscribe(request).await;
    answer.map(tonic::Response::into_inner)
}

async fn next(messages: &mut Messages) -> Message {
    let next = tokio::time::timeout(PATIENCE, messages.message()).await;
    next.expect("a message comes").unwrap().expect("no end")
}

async fn text(messages: &mut Messages) -> String {
    String::from_utf8(next(messages).await.body.to_vec()).unwrap()
}

#[tokio::test]
async fn everybody_gets_a_message_and_of_a_queue_one() {
    let core = Core::start().await;
    let door = core.by(service("micro"));
    // As Go's client subscribes: a topic, and an empty queue.
    let mut one = subscribe(&door, "t", "").await.unwrap();
    let mut two = subscribe(&door, "t", "").await.unwrap();
    let mut members = [
        subscribe(&door, "t", "q").await.unwrap(),
        subscribe(&door, "t", "q").await.unwrap(),
    ];
    for number in 0..20 {
        let request = message("t", number.to_string());
        brokers(door.clone()).publish(request).await.unwrap();
    }
    for number in 0..20 {
        assert_eq!(text(&mut one).await, number.to_string());
        assert_eq!(text(&mut two).await, number.to_string());
    }
    let mut shared = BTreeSet::new();
    let mut used = [false; 2];
    let [first, second] = &mut members;
    while shared.len() < 20 {
        let (at, text) = tokio::select! {
            text = text(first) => (0, text),
            text = text(second) => (1, text),
        };
        used[at] = true;
        assert!(shared.insert(text), "twice");
    }
    assert_eq!(used, [true; 2]);

    // A member that is gone gets nothing more.
    let [gone, mut stays] = members;
    drop(gone);
    for number in 0..20 {
        let request = message("t", number.to_string());
        brokers(door.clone()).publish(request).await.unwrap();
        assert_eq!(text(&mut stays).await, number.to_string());
    }
}

#[tokio::test]
async fn namespaces_do_not_hear_each_other() {
    let core = Core::start().await;
    let foo = core.by(user("foo"));
    let mut of_foo = subscribe(&foo, "t", "").await.unwrap();
    let mut of_micro = subscribe(&core.by(admin("micro")), "t", "").await.unwrap();
    // Names that would be one if they were joined by a dot.
    let mut of_dotted = subscribe(&core.by(user("foo.t")), "t", "").await.unwrap();
    for (caller, topic, text) in [
        (user("foo"), "t", "by foo"),
        (user("micro"), "t", "by micro"),
        (user("foo"), "t.t", "to nobody"),
        (user("foo.t"), "t", "by foo.t"),
        // Clients name the platform's namespace for its services.
        (within("micro", user("foo")), "t", "by foo again"),
        // Who may act everywhere acts where they say.
        (within("foo", admin("micro")), "t", "by an admin in foo"),
    ] {
        let mut client = brokers(core.by(caller));
        client.publish(message(topic, text)).await.unwrap();
    }
    for wanted in ["by foo", "by foo again", "by an admin in foo"] {
        assert_eq!(text(&mut of_foo).await, wanted);
    }
    assert_eq!(text(&mut of_micro).await, "by micro");
    assert_eq!(text(&mut of_dotted).await, "by foo.t");
}

#[tokio::test]
async fn who_may_and_what_is_refused() {
    let core = Core::start().await;
    let (publish, subscribed) = ("broker.Broker.Publish", "broker.Broker.Subscribe");
    let stranger = core.by(anonymous("micro"));
    let denied = (401, "Access denied to namespace".to_owned());
    let answer = brokers(stranger.clone()).publish(message("t", "x")).await;
    assert_eq!(error(publish, answer), denied);
    let answer = subscribe(&stranger, "t", "").await;
    assert_eq!(error(subscribed, answer), denied);
    let requests = stream::iter([message("t", "x")]);
    let answer = brokers(stranger).publish_stream(requests).await;
    assert_eq!(error("broker.Broker.PublishStream", answer), denied);

    let elsewhere = core.by(within("bar", user("foo")));
    let answer = brokers(elsewhere.clone()).publish(message("t", "x")).await;
    let denied = (403, "Access denied to namespace".to_owned());
    assert_eq!(error(publish, answer), denied);
    assert_eq!(
        error(subscribed, subscribe(&elsewhere, "t", "").await),
        denied
    );

    let door = core.by(user("micro"));
    let missing = |what: &str| (400, format!("Missing {what}"));
    let empty = PublishRequest {
        topic: "t".to_owned(),
        message: None,
    };
    let answer = brokers(door.clone()).publish(empty).await;
    assert_eq!(error(publish, answer), missing("message"));
    let answer = brokers(door.clone()).publish(message("", "x")).await;
    assert_eq!(error(publish, answer), missing("topic"));
    let answer = subscribe(&door, "", "").await;
    assert_eq!(error(subscribed, answer), missing("topic"));
    for too_long in [
        message(&"t".repeat(400), "x"),
        message("t", vec![0; 1_000_001]),
    ] {
        let answer = brokers(door.clone()).publish(too_long).await;
        assert_eq!(error(publish, answer).0, 400);
    }
}

#[tokio::test]
async fn metadata_of_the_call_is_in_the_header_and_credentials_are_not() {
    let core = Core::start().await;
    let door = core.by(user("micro"));
    let mut messages = subscribe(&door, "t", "").await.unwrap();
    let mut request = message("t", "x");
    let header = &mut request.message.as_mut().unwrap().header;
    header.insert("FooBar".to_owned(), "said".to_owned());
    let mut request = Request::new(request);
    for (key, value) in [
        ("foobar", "not this"),
        ("other-key", "other value"),
        ("authorization", "Bearer hunter2"),
    ] {
        request.metadata_mut().insert(key, value.parse().unwrap());
    }
    brokers(door).publish(request).await.unwrap();
    let got = next(&mut messages).await;
    assert_eq!(got.header["FooBar"], "said");
    assert_eq!(got.header["Other-Key"], "other value");
    assert!(!format!("{got:?}").contains("hunter2"), "{got:?}");
    assert!(!got.header.contains_key("Foobar"), "{got:?}");
}

#[tokio::test]
async fn many_are_published_over_one_call_and_the_slow_are_told_what_they_lost() {
    const COUNT: u64 = 5_000;
    let core = Core::start().await;
    let door = core.by(service("micro"));
    let mut slow = subscribe(&door, "t", "").await.unwrap();
    let requests = (0..COUNT).map(move |number| message("t", number.to_string()));
    let requests = stream::iter(requests);
    let answer = brokers(door.clone()).publish_stream(requests).await;
    assert_eq!(answer.unwrap().into_inner().published, COUNT);
    let end = brokers(door.clone()).publish(message("t", "end")).await;
    end.unwrap();
    let (mut came, mut lost) = (0, 0);
    loop {
        let message = next(&mut slow).await;
        lost += message.lost;
        if message.body == "end" {
            break;
        }
        came += 1;
    }
    assert!(lost > 0, "all of {COUNT} waited");
    assert_eq!(came + lost, COUNT);

    let requests = stream::iter([message("t", "good"), message("", "bad"), message("t", "no")]);
    let answer = brokers(door).publish_stream(requests).await;
    let refused = error("broker.Broker.PublishStream", answer);
    assert_eq!(refused, (400, "message 2: Missing topic".to_owned()));
    assert_eq!(text(&mut slow).await, "good");
}

#[tokio::test]
async fn a_subscription_ends_with_the_broker() {
    let core = Core::start().await;
    let mut messages = subscribe(&core.by(user("micro")), "t", "").await.unwrap();
    core.modules.shutdown().await;
    let end = tokio::time::timeout(PATIENCE, messages.message()).await;
    let status = end.expect("it ends").unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
}

#[tokio::test]
async fn registrations_are_told_in_their_domain() {
    let core = Core::start().await;
    let door = core.by(service("foo"));
    let mut events = subscribe(&door, "registry.events", "").await.unwrap();
    let mut registry = RegistryClient::new(door);
    let record = Service {
        name: "helloworld".to_owned(),
        version: "latest".to_owned(),
        nodes: vec![micro_proto::registry::Node {
            id: "helloworld-1".to_owned(),
            address: "127.0.0.1:1".to_owned(),
            ..Default::default()
        }],
        ..Service::default()
    };
    registry.register(record.clone()).await.unwrap();
    let told = next(&mut events).await;
    assert_eq!(told.header["Content-Type"], "application/protobuf");
    assert_eq!(told.header["Micro-Topic"], "registry.events");
    let event = Event::decode(told.body).unwrap();
    assert_eq!(event.r#type(), EventType::Create);
    assert_eq!(event.service.unwrap().name, "helloworld");
    registry.deregister(record).await.unwrap();
    let event = Event::decode(next(&mut events).await.body).unwrap();
    assert_eq!(event.r#type(), EventType::Delete);
}
