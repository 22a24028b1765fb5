//! Rules about consumers on their own: where they begin, and what they get.

use std::time::Duration;

use micro_plugin_api::{
    Code, StreamHandle,
    stream::{ConsumeOptions, HistoryQuery, NewEvent, Start},
};

use super::{LONG, Scope, acking, failed, from_the_start, member};
use crate::{
    Case,
    check::{Verdict, ensure, fails, same, unix_millis},
    suite::case,
    wait::eventually,
};

pub(super) fn cases() -> Vec<Case<StreamHandle>> {
    vec![
        case!(
            "stream.consume.from-now",
            from_now,
            "A consumer that names no moment gets what is published after the call, all of it."
        ),
        case!(
            "stream.consume.from-zero",
            from_zero,
            "From moment zero a consumer gets everything that is kept, then what comes."
        ),
        case!(
            "stream.consume.from-time",
            from_time,
            "From a moment on, by the clock of intake and not by publishers' timestamps."
        ),
        case!(
            "stream.consume.from-later",
            from_later,
            "A moment that is yet to come is that of the next event."
        ),
        case!(
            "stream.consume.broadcast",
            broadcast,
            "Without a group each consumer gets every event, in the order of intake."
        ),
        case!(
            "stream.consume.first-at-once",
            first_at_once,
            "The first delivery waits for no ack wait."
        ),
        case!(
            "stream.consume.automatic",
            automatic,
            "Where acks are automatic nothing is delivered twice, and there is nothing to settle."
        ),
        case!(
            "stream.consume.lazy",
            lazy,
            "One that does not read holds up neither publishers nor others, and finds all later."
        ),
        case!(
            "stream.consume.options",
            options,
            "Options that make no sense are invalid."
        ),
        case!(
            "stream.consume.dropped",
            dropped,
            "Consumers that come and go harm nobody."
        ),
    ]
}

async fn from_now(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    scope.publish("before").await?;
    let mut consumer = scope.consume(&ConsumeOptions::default()).await?;
    for i in 0..20 {
        scope.publish(&i.to_string()).await?;
    }
    let wanted: Vec<_> = (0..20).map(|i| i.to_string()).collect();
    same("what comes", consumer.texts(20).await?, wanted)
}

async fn from_zero(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    scope.publish_all(&["a", "b"]).await?;
    let mut consumer = scope.consume(&from_the_start()).await?;
    scope.publish("c").await?;
    let wanted = ["a", "b", "c"].map(str::to_owned).to_vec();
    same("what comes", consumer.texts(3).await?, wanted)
}

/// Publishes three events of which the second was taken in later than the first; when that was.
async fn three(scope: &Scope) -> Verdict<u64> {
    scope.publish("first").await?;
    let first = scope.history(HistoryQuery::default()).await?;
    let first = first
        .first()
        .ok_or_else(|| failed("it is not there"))?
        .ingested;
    // The next millisecond of this clock; a backend's own may go a little otherwise.
    eventually("the clock goes on", async || Ok(unix_millis() > first + 20)).await?;
    let old = NewEvent {
        timestamp: 1,
        ..scope.event("second")
    };
    scope.stream.publish(&scope.call(), &[old]).await?;
    scope.publish("third").await?;
    let events = scope.history(HistoryQuery::default()).await?;
    let second = events
        .get(1)
        .ok_or_else(|| failed("it is not there"))?
        .ingested;
    ensure!(second > first, "both were taken in at {first}");
    Ok(second)
}

async fn from_time(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    let second = three(&scope).await?;
    for group in [None, Some("group".to_owned())] {
        let options = ConsumeOptions {
            start: Start::Time(second),
            group,
            ..ConsumeOptions::default()
        };
        let mut consumer = scope.consume(&options).await?;
        let wanted = ["second", "third"].map(str::to_owned).to_vec();
        same("what comes", consumer.texts(2).await?, wanted)?;
    }
    Ok(())
}

async fn from_later(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    scope.publish("before").await?;
    let options = ConsumeOptions {
        start: Start::Time(unix_millis() + 3_600_000),
        ..ConsumeOptions::default()
    };
    let mut consumer = scope.consume(&options).await?;
    scope.publish("after").await?;
    same("what comes", consumer.text().await?, "after".to_owned())
}

async fn broadcast(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    let mut consumers = Vec::new();
    for _ in 0..3 {
        consumers.push(scope.consume(&from_the_start()).await?);
    }
    let wanted: Vec<_> = (0..100).map(|i| i.to_string()).collect();
    for payload in &wanted {
        scope.publish(payload).await?;
    }
    for consumer in &mut consumers {
        same("what comes", &consumer.texts(100).await?, &wanted)?;
    }
    Ok(())
}

async fn first_at_once(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    for options in [from_the_start(), member("group")] {
        let mut consumer = scope.consume(&acking(options, LONG)).await?;
        scope.publish("a").await?;
        let delivery = consumer.next().await?;
        same("the attempt", delivery.attempt, 1)?;
        scope.ack(&delivery).await?;
    }
    Ok(())
}

async fn automatic(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    let mut consumer = scope.consume(&from_the_start()).await?;
    scope.publish_all(&["a", "b"]).await?;
    for payload in ["a", "b"] {
        let delivery = consumer.next().await?;
        same(
            "the payload",
            super::text(&delivery.event),
            payload.to_owned(),
        )?;
        same("the token", delivery.token.0, String::new())?;
    }
    consumer.quiet("an event that was delivered").await
}

async fn lazy(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    let mut lazy = scope.consume(&from_the_start()).await?;
    let mut keen = scope.consume(&from_the_start()).await?;
    let wanted: Vec<_> = (0..2_000).map(|i| i.to_string()).collect();
    for batch in wanted.chunks(100) {
        let batch: Vec<_> = batch.iter().map(String::as_str).collect();
        scope.publish_all(&batch).await?;
    }
    same(
        "what the one who reads gets",
        &keen.texts(2_000).await?,
        &wanted,
    )?;
    same(
        "what the other one gets",
        &lazy.texts(2_000).await?,
        &wanted,
    )
}

async fn options(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    let of_group = |group: String| ConsumeOptions {
        group: Some(group),
        ..ConsumeOptions::default()
    };
    let in_flight = |in_flight| ConsumeOptions {
        in_flight,
        ..ConsumeOptions::default()
    };
    for (what, options) in [
        (
            "an ack wait of zero",
            acking(from_the_start(), Duration::ZERO),
        ),
        ("a group without a name", of_group(String::new())),
        (
            "a group with too long a name",
            of_group("g".repeat(ConsumeOptions::MAX_GROUP + 1)),
        ),
        ("none in flight", in_flight(0)),
        (
            "too many in flight",
            in_flight(ConsumeOptions::MAX_IN_FLIGHT + 1),
        ),
    ] {
        let call = scope.call();
        let consumed = scope.stream.consume(&call, &scope.topic, &options);
        fails(what, consumed.await.map(|_| ()), Code::INVALID)?;
    }
    Ok(())
}

async fn dropped(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    let mut stays = scope.consume(&from_the_start()).await?;
    for i in 0..50 {
        let mut goes = scope.consume(&acking(from_the_start(), LONG)).await?;
        scope.publish(&i.to_string()).await?;
        if i % 2 == 0 {
            goes.next().await?;
        }
    }
    let wanted: Vec<_> = (0..50).map(|i| i.to_string()).collect();
    same(
        "what the one who stays gets",
        stays.texts(50).await?,
        wanted,
    )
}
