//! Rules about acknowledgement: what is settled is, and what is not comes again, up to a limit.

use std::time::{Duration, Instant};

use micro_plugin_api::{
    Code, StreamHandle,
    stream::{ConsumeOptions, Delivery, Settlement, Token},
};

use super::{LONG, SHORT, Scope, acking, from_the_start, member, text};
use crate::{
    Case,
    check::{Verdict, ensure, fails, same},
    suite::case,
    wait::eventually,
};

pub(super) fn cases() -> Vec<Case<StreamHandle>> {
    vec![
        case!(
            "stream.ack.settles",
            settles,
            "What was acknowledged is not delivered again."
        ),
        case!(
            "stream.ack.wait",
            ack_wait,
            "What was not settled is delivered again after the ack wait, no sooner, as the next attempt."
        ),
        case!(
            "stream.ack.late",
            late,
            "An ack after the ack wait counts as long as nothing else became of the event."
        ),
        case!(
            "stream.ack.many",
            many,
            "Many deliveries are settled in one call, in any order, some one way and some the other."
        ),
        case!(
            "stream.ack.in-flight",
            in_flight,
            "A consumer has no more unsettled events than it asked for; settling one makes room."
        ),
        case!(
            "stream.ack.twice",
            twice,
            "To settle again, or after leaving, is no error and changes nothing."
        ),
        case!("stream.ack.token", token, "What is no token is invalid."),
        case!(
            "stream.nack.again",
            nack,
            "What was refused is delivered again soon, whatever the ack wait."
        ),
        case!(
            "stream.retry.limit",
            retry_limit,
            "A retry limit of three gives four deliveries of the same event, then none."
        ),
        case!(
            "stream.retry.zero",
            retry_zero,
            "A retry limit of zero gives one delivery."
        ),
        case!(
            "stream.retry.endless",
            endless,
            "Without a retry limit an event comes again and again."
        ),
        case!(
            "stream.retry.others",
            others,
            "An event that is refused again and again does not hold up the others."
        ),
    ]
}

fn limited(options: ConsumeOptions, retries: u32) -> ConsumeOptions {
    ConsumeOptions {
        retry_limit: Some(retries),
        ..options
    }
}

async fn settles(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    for options in [from_the_start(), member("group")] {
        let mut consumer = scope.consume(&acking(options, SHORT)).await?;
        scope.publish("a").await?;
        // A slow machine may let the ack wait pass before the ack is there.
        while let Some(delivery) = consumer.within(SHORT * 3).await? {
            scope.ack(&delivery).await?;
            ensure!(delivery.attempt < 20, "it comes again and again");
        }
    }
    Ok(())
}

async fn ack_wait(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    let mut consumer = scope.consume(&acking(from_the_start(), SHORT)).await?;
    let id = scope.publish("a").await?;
    let mut before = None;
    for attempt in 1..=4 {
        let delivery = consumer.next().await?;
        same("the attempt", delivery.attempt, attempt)?;
        same("the id", &delivery.event.id, &id)?;
        let now = Instant::now();
        if let Some(before) = before.replace(now) {
            // It began to wait when it was handed out, a moment before it was here.
            let waited = now - before + SHORT / 2;
            ensure!(waited >= SHORT, "again after {:?}", now - before);
        }
    }
    Ok(())
}

async fn late(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    let options = acking(member("group"), SHORT);
    let mut consumer = scope.consume(&options).await?;
    scope.publish("a").await?;
    let delivery = consumer.next().await?;
    // Nobody reads meanwhile, so that nothing can become of it.
    let begun = Instant::now();
    eventually("the ack wait is over", async || {
        Ok(begun.elapsed() > SHORT * 2)
    })
    .await?;
    scope.ack(&delivery).await?;
    let again = consumer.within(SHORT * 3).await?;
    // One that was on its way by then may come; after the ack it must not come any more.
    if let Some(again) = again {
        scope.ack(&again).await?;
        let third = consumer.within(SHORT * 3).await?;
        ensure!(third.is_none(), "it came a third time");
    }
    Ok(())
}

async fn many(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    let mut consumer = scope.consume(&acking(member("group"), LONG)).await?;
    let payloads: Vec<_> = (0..20).map(|i| i.to_string()).collect();
    let batch: Vec<_> = payloads.iter().map(String::as_str).collect();
    scope.publish_all(&batch).await?;
    let mut deliveries = Vec::new();
    while deliveries.len() < 20 {
        deliveries.push(consumer.next().await?);
    }
    let settlement = |(i, delivery): (usize, &Delivery)| Settlement {
        token: delivery.token.clone(),
        acknowledged: i % 5 != 0,
    };
    let settlements: Vec<_> = deliveries
        .iter()
        .enumerate()
        .map(settlement)
        .rev()
        .collect();
    scope.stream.settle(&scope.call(), &settlements).await?;
    let mut again = consumer.texts(4).await?;
    again.sort_by_key(|payload| payload.parse::<usize>().unwrap_or_default());
    same(
        "what was refused",
        again,
        ["0", "5", "10", "15"].map(str::to_owned).to_vec(),
    )?;
    consumer.quiet("what was acknowledged").await
}

async fn in_flight(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    let options = ConsumeOptions {
        in_flight: 3,
        ..acking(from_the_start(), LONG)
    };
    let mut consumer = scope.consume(&options).await?;
    scope.publish_all(&["a", "b", "c", "d", "e"]).await?;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(consumer.next().await?);
    }
    consumer.quiet("more than it may have in flight").await?;
    scope.ack(&held[1]).await?;
    same("the next one", consumer.text().await?, "d".to_owned())?;
    consumer.quiet("more than it may have in flight").await?;
    scope.ack(&held[0]).await?;
    same("the next one", consumer.text().await?, "e".to_owned())
}

async fn twice(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    let options = acking(member("group"), LONG);
    let mut consumer = scope.consume(&options).await?;
    scope.publish_all(&["a", "b"]).await?;
    let (a, b) = (consumer.next().await?, consumer.next().await?);
    scope.ack(&a).await?;
    scope.ack(&a).await?;
    scope.nack(&a.token).await?;
    consumer
        .quiet("an event that was acknowledged first")
        .await?;
    drop(consumer);
    let mut next = scope.consume(&options).await?;
    let again = next.next().await?;
    same("what was left", text(&again.event), "b".to_owned())?;
    scope.nack(&b.token).await?;
    scope.ack(&again).await?;
    next.quiet("an event that the next member acknowledged")
        .await
}

async fn token(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    for text in ["", "no token", "1-2-3-4", "…"] {
        let settled = scope.nack(&Token(text.to_owned())).await;
        fails(&format!("{text:?}"), settled, Code::INVALID)?;
    }
    Ok(())
}

async fn nack(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    for options in [from_the_start(), member("group")] {
        let scope = scope.other(options.group.as_deref().unwrap_or("none"));
        let mut consumer = scope.consume(&acking(options, LONG)).await?;
        let id = scope.publish("a").await?;
        for attempt in 1..=3 {
            let delivery = consumer.next().await?;
            same("the id", &delivery.event.id, &id)?;
            same("the attempt", delivery.attempt, attempt)?;
            scope.nack(&delivery.token).await?;
        }
    }
    Ok(())
}

async fn retry_limit(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    for options in [from_the_start(), member("group")] {
        let scope = scope.other(options.group.as_deref().unwrap_or("none"));
        let options = limited(acking(options, SHORT), 3);
        let mut consumer = scope.consume(&options).await?;
        let id = scope.publish("a").await?;
        let mut seen = Vec::new();
        for attempt in 1..=4 {
            let delivery = consumer.next().await?;
            same("the attempt", delivery.attempt, attempt)?;
            seen.push((
                delivery.event.id,
                delivery.event.timestamp,
                delivery.event.ingested,
            ));
            // Refused or left alone, it counts.
            if attempt % 2 == 0 {
                scope.nack(&delivery.token).await?;
            }
        }
        same("the first id", &seen[0].0, &id)?;
        ensure!(
            seen.iter().all(|it| *it == seen[0]),
            "they differ: {seen:?}"
        );
        consumer.quiet("an event beyond its limit").await?;
        consumer.quiet("an event beyond its limit").await?;
        scope.publish("b").await?;
        same("the next event", consumer.text().await?, "b".to_owned())?;
    }
    Ok(())
}

async fn retry_zero(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    let options = limited(acking(from_the_start(), SHORT), 0);
    let mut consumer = scope.consume(&options).await?;
    scope.publish("a").await?;
    let delivery = consumer.next().await?;
    scope.nack(&delivery.token).await?;
    consumer.quiet("an event beyond its limit").await?;
    scope.publish("b").await?;
    same("the next event", consumer.text().await?, "b".to_owned())?;
    consumer.quiet("an event beyond its limit").await
}

async fn endless(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    let options = acking(from_the_start(), Duration::from_millis(20));
    let mut consumer = scope.consume(&options).await?;
    scope.publish("a").await?;
    for attempt in 1..=12 {
        same("the attempt", consumer.next().await?.attempt, attempt)?;
    }
    Ok(())
}

async fn others(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    let options = ConsumeOptions {
        in_flight: 2,
        ..acking(member("group"), LONG)
    };
    let mut consumer = scope.consume(&options).await?;
    scope.publish("bad").await?;
    let payloads: Vec<_> = (0..20).map(|i| i.to_string()).collect();
    for payload in &payloads {
        scope.publish(payload).await?;
    }
    let mut seen = Vec::new();
    while seen.len() < payloads.len() {
        let delivery = consumer.next().await?;
        match text(&delivery.event) {
            bad if bad == "bad" => scope.nack(&delivery.token).await?,
            good => {
                scope.ack(&delivery).await?;
                seen.push(good);
            }
        }
    }
    same("the others", seen, payloads)
}
