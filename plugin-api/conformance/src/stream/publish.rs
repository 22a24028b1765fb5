//! Rules about publishing: what comes back is what went in, under one id, in order.

use std::collections::BTreeMap;

use bytes::Bytes;
use micro_plugin_api::{
    Code, StreamHandle,
    stream::{HistoryQuery, NewEvent},
};

use super::{Scope, from_the_start};
use crate::{
    Case,
    check::{Verdict, ensure, fails, same, unix_millis},
    suite::case,
};

pub(super) fn cases() -> Vec<Case<StreamHandle>> {
    vec![
        case!(
            "stream.publish.round-trip",
            round_trip,
            "Payload, metadata and timestamp reach consumers and history as they were published."
        ),
        case!(
            "stream.publish.one-id",
            one_id,
            "The id that publishing gives is the event's everywhere: a UUIDv7, later ones greater."
        ),
        case!(
            "stream.publish.clock",
            clock,
            "The moment of intake is the backend's clock; it and positions grow along a topic."
        ),
        case!(
            "stream.publish.batch-order",
            batch_order,
            "A batch keeps its order, and nobody else's events come in between."
        ),
        case!(
            "stream.publish.batch-topics",
            batch_topics,
            "A batch may be for many topics; each gets its part, in order."
        ),
        case!(
            "stream.publish.all-or-nothing",
            all_or_nothing,
            "A batch with one event that is refused publishes none."
        ),
        case!(
            "stream.publish.nothing",
            nothing,
            "A batch without events is no error."
        ),
        case!(
            "stream.publish.large",
            large,
            "Payloads of one MiB, and a batch of a thousand events, come through whole."
        ),
        case!(
            "stream.publish.limits",
            limits,
            "What is too large or too much is refused as invalid."
        ),
        case!(
            "stream.publish.empty-payload",
            empty_payload,
            "An event may say nothing."
        ),
    ]
}

async fn round_trip(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    let metadata = [
        ("k", "v"),
        ("ключ", "значение 🦀"),
        ("empty", ""),
        ("", "no key"),
    ];
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let sent = NewEvent {
        topic: scope.topic.clone(),
        payload: Bytes::from((0..=255).collect::<Vec<u8>>()),
        metadata: BTreeMap::from(metadata),
        timestamp: 1_234_567_890_123,
    };
    let mut consumer = scope.consume(&from_the_start()).await?;
    scope
        .stream
        .publish(&scope.call(), std::slice::from_ref(&sent))
        .await?;
    let delivery = consumer.next().await?;
    same("the attempt", delivery.attempt, 1)?;
    let history = scope.history(HistoryQuery::default()).await?;
    same("the history", &history, &vec![delivery.event.clone()])?;
    let event = delivery.event;
    same("the topic", event.topic, sent.topic)?;
    same("the payload", event.payload, sent.payload)?;
    same("the metadata", event.metadata, sent.metadata)?;
    same("the timestamp", event.timestamp, sent.timestamp)
}

async fn one_id(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    let mut consumer = scope.consume(&from_the_start()).await?;
    let mut ids = scope.publish_all(&["a", "b", "c"]).await?;
    for payload in ["d", "e"] {
        ids.push(scope.publish(payload).await?);
    }
    for id in &ids {
        let uuid = uuid::Uuid::parse_str(id).ok();
        let version = uuid.map(|uuid| uuid.get_version_num());
        ensure!(version == Some(7), "{id} is no UUIDv7");
        same("the id of a delivery", &consumer.next().await?.event.id, id)?;
    }
    ensure!(ids.is_sorted_by(|a, b| a < b), "not in order: {ids:?}");
    let history = scope.history(HistoryQuery::default()).await?;
    let seen: Vec<_> = history.into_iter().map(|event| event.id).collect();
    same("the ids of the history", seen, ids)
}

async fn clock(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    // A real backend's clock may be another machine's.
    let slack = 60_000;
    let before = unix_millis();
    let sent = NewEvent {
        timestamp: 5,
        ..scope.event("old")
    };
    scope.stream.publish(&scope.call(), &[sent]).await?;
    scope.publish_all(&["b", "c"]).await?;
    scope.publish("d").await?;
    let after = unix_millis();
    let events = scope.history(HistoryQuery::default()).await?;
    same("events", events.len(), 4)?;
    for event in &events {
        let (from, to) = (before.saturating_sub(slack), after + slack);
        let at = event.ingested;
        ensure!((from..=to).contains(&at), "taken in at {at}, it is {after}");
    }
    for pair in events.windows(2) {
        let later = pair[0].position < pair[1].position && pair[0].ingested <= pair[1].ingested;
        ensure!(later, "the second is not later: {pair:?}");
    }
    Ok(())
}

async fn batch_order(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    let tasks: Vec<_> = (0..4)
        .map(|task| {
            let scope = scope.clone();
            tokio::spawn(async move {
                for batch in 0..5 {
                    let payloads: Vec<_> = (0..50).map(|i| format!("{task}/{batch}/{i}")).collect();
                    let payloads: Vec<_> = payloads.iter().map(String::as_str).collect();
                    scope.publish_all(&payloads).await?;
                }
                Verdict::Ok(())
            })
        })
        .collect();
    for task in tasks {
        crate::check::joined(task).await??;
    }
    let payloads = scope.payloads().await?;
    same("events", payloads.len(), 1_000)?;
    for batch in payloads.chunks(50) {
        let (of, _) = batch[0].rsplit_once('/').unwrap_or_default();
        let wanted: Vec<_> = (0..50).map(|i| format!("{of}/{i}")).collect();
        same("a batch", batch, &wanted[..])?;
    }
    Ok(())
}

async fn batch_topics(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    let (a, b) = (scope.other("a"), scope.other("b"));
    let batch = [a.event("1"), b.event("2"), a.event("3"), b.event("4")];
    let ids = scope.stream.publish(&scope.call(), &batch).await?;
    same("ids", ids.len(), 4)?;
    let history = b.history(HistoryQuery::default()).await?;
    let seen: Vec<_> = history.iter().map(|event| event.id.as_str()).collect();
    same("the ids of b", seen, vec![ids[1].as_str(), ids[3].as_str()])?;
    let texts = |texts: [&str; 2]| texts.map(str::to_owned).to_vec();
    same("a", a.payloads().await?, texts(["1", "3"]))?;
    same("b", b.payloads().await?, texts(["2", "4"]))
}

async fn all_or_nothing(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    let bad = NewEvent::new("", "x");
    let batch = [scope.event("a"), scope.event("b"), bad];
    let published = scope.stream.publish(&scope.call(), &batch).await;
    fails(
        "a batch with an event for no topic",
        published,
        Code::INVALID,
    )?;
    same("events", scope.payloads().await?.len(), 0)
}

async fn nothing(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    same("ids", scope.publish_all(&[]).await?.len(), 0)
}

async fn large(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    let mut consumer = scope.consume(&from_the_start()).await?;
    for i in 0..4 {
        let payload = vec![i; NewEvent::MAX_PAYLOAD];
        scope
            .stream
            .publish(&scope.call(), &[scope.event(payload)])
            .await?;
    }
    for i in 0..4 {
        let payload = consumer.next().await?.event.payload;
        let whole = payload.len() == NewEvent::MAX_PAYLOAD && payload.iter().all(|b| *b == i);
        ensure!(whole, "payload {i} is another: {} bytes", payload.len());
    }
    let many = scope.other("many");
    let payloads: Vec<_> = (0..NewEvent::MAX_BATCH).map(|i| i.to_string()).collect();
    let batch: Vec<_> = payloads.iter().map(String::as_str).collect();
    many.publish_all(&batch).await?;
    same("the batch", many.payloads().await?, payloads)
}

async fn limits(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    let large = |bytes: usize| Bytes::from(vec![0; bytes]);
    let metadata = BTreeMap::from([("k".to_owned(), "v".repeat(NewEvent::MAX_METADATA))]);
    let events_of = |size: usize, count: usize| vec![scope.event(large(size)); count];
    for (what, batch) in [
        ("a payload", events_of(NewEvent::MAX_PAYLOAD + 1, 1)),
        (
            "metadata",
            vec![NewEvent {
                metadata,
                ..scope.event("m")
            }],
        ),
        (
            "a topic",
            vec![NewEvent::new("t".repeat(NewEvent::MAX_TOPIC + 1), "t")],
        ),
        ("a batch by number", events_of(0, NewEvent::MAX_BATCH + 1)),
        ("a batch by bytes", events_of(NewEvent::MAX_PAYLOAD, 17)),
    ] {
        let published = scope.stream.publish(&scope.call(), &batch).await;
        fails(
            &format!("{what} beyond the limit"),
            published,
            Code::INVALID,
        )?;
    }
    same("events", scope.payloads().await?.len(), 0)
}

async fn empty_payload(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    scope.publish("").await?;
    let mut consumer = scope.consume(&from_the_start()).await?;
    same("the payload", consumer.text().await?, String::new())
}
