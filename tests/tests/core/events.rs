//! The core service `events`: publishing, consuming with and without acknowledgements, history.

use std::{collections::HashMap, time::Duration};

use futures::channel::mpsc;
use micro_proto::events::{
    AckRequest, ConsumeRequest, Event, PublishBatchRequest, PublishRequest, ReadRequest,
    WriteRequest, events_client::EventsClient, store_client::StoreClient,
    stream_client::StreamClient,
};
use micro_tests::{
    Core, Door, PATIENCE, call_json,
    callers::{admin, anonymous, service, user},
};
use prost::Message;
use tonic::{
    Request, Status, Streaming,
    client::Grpc,
    codec::{BufferSettings, Codec, EncodeBuf, Encoder},
};
use tonic_prost::ProstCodec;

use crate::error;

fn event(topic: &str, payload: &str) -> PublishRequest {
    PublishRequest {
        topic: topic.to_owned(),
        payload: payload.to_owned().into(),
        ..PublishRequest::default()
    }
}

fn automatic(topic: &str) -> ConsumeRequest {
    ConsumeRequest {
        topic: topic.to_owned(),
        auto_ack: true,
        retry_limit: -1,
        offset: -62_135_596_800,
        ..ConsumeRequest::default()
    }
}

fn manual(topic: &str, wait: Duration) -> ConsumeRequest {
    ConsumeRequest {
        auto_ack: false,
        ack_wait: i64::try_from(wait.as_nanos()).unwrap(),
        ..automatic(topic)
    }
}

async fn publish(core: &Core, event: PublishRequest) -> String {
    let mut client = StreamClient::new(core.by(admin("micro")));
    client.publish(event).await.unwrap().into_inner().id
}

async fn next(events: &mut Streaming<Event>) -> Event {
    let next = tokio::time::timeout(PATIENCE, events.message()).await;
    next.expect("an event in time").unwrap().expect("an event")
}

fn text(event: &Event) -> &str {
    std::str::from_utf8(&event.payload).unwrap()
}

/// What a Go client writes on the stream of `Consume`.
enum Said {
    Consume(ConsumeRequest),
    Ack(AckRequest),
}

/// Writes both kinds of messages; tonic's own clients know of one.
struct SaidCodec;

impl Codec for SaidCodec {
    type Encode = Said;
    type Decode = Event;
    type Encoder = Self;
    type Decoder = <ProstCodec<Event, Event> as Codec>::Decoder;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<Event, Event>::raw_decoder(BufferSettings::default())
    }
}

impl Encoder for SaidCodec {
    type Item = Said;
    type Error = Status;

    fn encode(&mut self, said: Said, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        match said {
            Said::Consume(request) => request.encode(out),
            Said::Ack(request) => request.encode(out),
        }
        .map_err(|error| Status::internal(error.to_string()))
    }
}

/// A consumer that acknowledges, as a Go client is one.
struct Consumer {
    said: mpsc::UnboundedSender<Said>,
    events: Streaming<Event>,
}

impl Consumer {
    async fn new(door: Door, request: ConsumeRequest) -> Result<Self, Status> {
        let (said, says) = mpsc::unbounded();
        said.unbounded_send(Said::Consume(request)).unwrap();
        let path = "/events.Stream/Consume".parse().unwrap();
        let mut grpc = Grpc::new(door);
        let answer = grpc.streaming(Request::new(says), path, SaidCodec).await?;
        let events = answer.into_inner();
        Ok(Self { said, events })
    }

    async fn next(&mut self) -> Event {
        next(&mut self.events).await
    }

    fn settle(&self, event: &Event, success: bool) {
        let id = event.id.clone();
        let ack = Said::Ack(AckRequest { id, success });
        self.said.unbounded_send(ack).unwrap();
    }
}

#[tokio::test]
async fn an_event_is_the_same_to_every_consumer_and_in_the_history() {
    let core = Core::start().await;
    let mut client = StreamClient::new(core.by(admin("micro")));
    let mut one = client.consume(automatic("t")).await.unwrap().into_inner();
    let mut other = client.consume(automatic("t")).await.unwrap().into_inner();
    let metadata = HashMap::from([("k".to_owned(), "v".to_owned())]);
    let sent = PublishRequest {
        metadata: metadata.clone(),
        timestamp: 1_600_000_000,
        ..event("t", "{\"a\":1}")
    };
    let id = publish(&core, sent).await;
    publish(&core, event("another", "no")).await;
    let seen = next(&mut one).await;
    assert_eq!(seen, next(&mut other).await);
    assert_eq!((seen.id.as_str(), seen.topic.as_str()), (id.as_str(), "t"));
    assert_eq!((text(&seen), seen.timestamp), ("{\"a\":1}", 1_600_000_000));
    assert_eq!((&seen.metadata, seen.attempt), (&metadata, 1));

    let request = ReadRequest {
        topic: "t".to_owned(),
        ..ReadRequest::default()
    };
    let mut store = StoreClient::new(core.by(admin("micro")));
    let history = store.read(request).await.unwrap().into_inner().events;
    assert_eq!(history, [Event { attempt: 0, ..seen }]);
}

#[tokio::test]
async fn the_past_is_read_in_parts_and_replayed() {
    let core = Core::start().await;
    let door = core.by(admin("micro"));
    let mut client = StreamClient::new(door.clone());
    let events = (0..300).map(|i| event("t", &i.to_string())).collect();
    let batch = client.publish_batch(PublishBatchRequest { events });
    let ids = batch.await.unwrap().into_inner().ids;
    assert_eq!(ids.len(), 300);
    let mut store = StoreClient::new(door.clone());
    let mut read = async |limit, offset| {
        let topic = "t".to_owned();
        let request = ReadRequest {
            topic,
            limit,
            offset,
        };
        let events = store.read(request).await.unwrap().into_inner().events;
        events.into_iter().map(|event| event.id).collect::<Vec<_>>()
    };
    assert_eq!(read(0, 0).await, ids[..250]);
    assert_eq!(read(10, 295).await, ids[295..]);
    assert_eq!(read(0, 300).await, [""; 0]);

    let replay = ConsumeRequest {
        offset: 1,
        ..automatic("t")
    };
    let mut replayed = EventsClient::new(door).consume(replay).await.unwrap();
    for id in &ids {
        assert_eq!(&next(replayed.get_mut()).await.id, id);
    }
}

#[tokio::test]
async fn a_group_shares_and_what_is_not_acknowledged_comes_again() {
    let core = Core::start().await;
    let door = || core.by(admin("micro"));
    let of_group = |topic: &str| ConsumeRequest {
        group: "workers".to_owned(),
        ..manual(topic, Duration::from_secs(600))
    };
    let mut one = Consumer::new(door(), of_group("t")).await.unwrap();
    publish(&core, event("t", "a")).await;
    let first = one.next().await;
    assert_eq!((text(&first), first.attempt), ("a", 1));
    one.settle(&first, false);
    let again = one.next().await;
    assert_eq!((&again.id, again.attempt), (&first.id, 2));
    one.settle(&again, true);
    publish(&core, event("t", "b")).await;
    let second = one.next().await;
    assert_eq!(text(&second), "b");
    // Gone without a word: what it had is the other's at once.
    drop(one);
    let mut other = Consumer::new(door(), of_group("t")).await.unwrap();
    let taken = other.next().await;
    assert_eq!((&taken.id, text(&taken)), (&second.id, "b"));
    other.settle(&taken, true);
    publish(&core, event("t", "c")).await;
    assert_eq!(text(&other.next().await), "c");
}

#[tokio::test]
async fn an_event_is_given_up_at_its_retry_limit() {
    let core = Core::start().await;
    let request = ConsumeRequest {
        retry_limit: 1,
        ..manual("t", Duration::from_millis(50))
    };
    let mut consumer = Consumer::new(core.by(admin("micro")), request)
        .await
        .unwrap();
    let id = publish(&core, event("t", "a")).await;
    for attempt in [1, 2] {
        let delivered = consumer.next().await;
        assert_eq!((&delivered.id, delivered.attempt), (&id, attempt));
    }
    publish(&core, event("t", "b")).await;
    assert_eq!(text(&consumer.next().await), "b");
}

#[tokio::test]
async fn one_who_says_no_more_still_listens() {
    let core = Core::start().await;
    let mut client = StreamClient::new(core.by(admin("micro")));
    // A client made from the reference's proto: it sends one message and closes its side.
    let request = manual("t", Duration::from_secs(600));
    let mut events = client.consume(request).await.unwrap().into_inner();
    publish(&core, event("t", "a")).await;
    assert_eq!(text(&next(&mut events).await), "a");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_so_is_who_may_not() {
    let core = Core::start().await;
    let mut client = StreamClient::new(core.by(admin("micro")));
    let missing = (400, "Missing topic".to_owned());
    let published = client.publish(event("", "x")).await;
    assert_eq!(error("events.Stream.Publish", published), missing);
    let consumed = client.consume(automatic("")).await;
    assert_eq!(error("events.Stream.Consume", consumed), missing);
    let consumed = client.consume(manual("t", Duration::ZERO)).await;
    let wait = "invalid AckWait passed, should be positive integer";
    assert_eq!(
        error("events.Stream.Consume", consumed),
        (400, wait.to_owned())
    );
    let mut store = StoreClient::new(core.by(admin("micro")));
    let read = store.read(ReadRequest::default()).await;
    assert_eq!(error("events.Store.Read", read), missing);
    let written = store.write(WriteRequest::default()).await;
    let unsupported = "Writing to the store directly is not supported";
    assert_eq!(
        error("events.Store.Write", written),
        (501, unsupported.to_owned())
    );
    let batch = client.publish_batch(PublishBatchRequest::default()).await;
    assert_eq!(error("events.Stream.PublishBatch", batch).0, 400);
    let large = "x".repeat((1 << 20) + 1);
    let (code, detail) = error(
        "events.Stream.Publish",
        client.publish(event("t", &large)).await,
    );
    assert_eq!(code, 400);
    assert!(detail.contains("at most 1048576"), "{detail}");
    for (caller, code) in [(anonymous("micro"), 401), (user("micro"), 401)] {
        let mut client = StreamClient::new(core.by(caller));
        let published = client.publish(event("t", "x")).await;
        assert_eq!(error("events.Stream.Publish", published).0, code);
        let consumed = client.consume(automatic("t")).await;
        assert_eq!(error("events.Stream.Consume", consumed).0, code);
    }
}

#[tokio::test]
async fn namespaces_do_not_hear_each_other() {
    let core = Core::start().await;
    let mut foo = StreamClient::new(core.by(service("foo")));
    let mut events = foo.consume(automatic("t")).await.unwrap().into_inner();
    publish(&core, event("t", "of micro")).await;
    foo.publish(event("t", "of foo")).await.unwrap();
    assert_eq!(text(&next(&mut events).await), "of foo");
}

#[tokio::test]
async fn events_speak_json() {
    let core = Core::start().await;
    let door = core.by(admin("micro"));
    let body = r#"{"topic":"t","payload":"eyJhIjoxfQ==","metadata":{"k":"v"}}"#;
    let answer = call_json(&door, "/events.Events/Publish", body).await;
    let id = answer.unwrap()["id"].clone();
    let read = call_json(&door, "/events.Events/Read", r#"{"topic":"t"}"#).await;
    let read = read.unwrap();
    assert_eq!(read["events"][0]["id"], id);
    assert_eq!(read["events"][0]["payload"], "eyJhIjoxfQ==");
    assert_eq!(read["events"][0]["metadata"]["k"], "v");
}
