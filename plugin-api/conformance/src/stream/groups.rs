//! Rules about groups: what they share, and what they remember.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use micro_plugin_api::{
    StreamHandle,
    stream::{ConsumeOptions, Start},
};
use tokio::sync::Barrier;

use super::{LONG, QUIET, SHORT, Scope, acking, either, member, text};
use crate::{
    Case,
    check::{Verdict, ensure, joined, same, unix_millis},
    suite::case,
};

pub(super) fn cases() -> Vec<Case<StreamHandle>> {
    vec![
        case!(
            "stream.group.shares",
            shares,
            "Members share the events, each goes to one of them, and each of them gets some."
        ),
        case!(
            "stream.group.remembers",
            remembers,
            "A group goes on where it was when all its members had left, wherever the next one asks to start."
        ),
        case!(
            "stream.group.separate",
            separate,
            "Each group gets all events, and so does a consumer without one."
        ),
        case!(
            "stream.group.replays",
            replays,
            "A new group can begin with a moment of the past."
        ),
        case!(
            "stream.group.first-fixes-wait",
            first_fixes_wait,
            "The first member fixes the ack wait of its group."
        ),
        case!(
            "stream.group.leaver-gives-back",
            leaver_gives_back,
            "What a member had not acknowledged when it left goes to the others at once."
        ),
        case!(
            "stream.group.lazy-member",
            lazy_member,
            "A member that does not read keeps nothing from the others for long."
        ),
        case!(
            "stream.group.unacknowledged",
            unacknowledged,
            "What nobody acknowledged is there for whoever joins next, also after acknowledged ones."
        ),
    ]
}

async fn shares(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    let mut tasks = Vec::new();
    // Neither acknowledges anything before both have something: one may have a few events that are
    // not settled and no more, so the next has to go to the other, however slow it is.
    let both = Arc::new(Barrier::new(2));
    let few = ConsumeOptions {
        in_flight: 10,
        ..acking(member("group"), LONG)
    };
    for _ in 0..2 {
        let mut consumer = scope.consume(&few).await?;
        let (scope, both) = (scope.clone(), both.clone());
        tasks.push(tokio::spawn(async move {
            let mut seen = Vec::new();
            // The last one that is published tells that it is over; then a while for the rest.
            let mut patience = super::PATIENCE;
            while let Some(delivery) = consumer.within(patience).await? {
                if seen.is_empty() {
                    let waited = tokio::time::timeout(super::PATIENCE, both.wait()).await;
                    ensure!(waited.is_ok(), "one member got nothing");
                }
                scope.ack(&delivery).await?;
                seen.push(text(&delivery.event));
                if seen.len() > 90 {
                    patience = Duration::from_secs(1);
                }
                patience = patience.min(Duration::from_secs(3));
            }
            Verdict::Ok(seen)
        }));
    }
    for i in 0..100 {
        scope.publish(&i.to_string()).await?;
    }
    let mut all = Vec::new();
    for task in tasks {
        let seen = joined(task).await??;
        ensure!(!seen.is_empty(), "one member got nothing");
        all.extend(seen);
    }
    same("deliveries", all.len(), 100)?;
    same(
        "events",
        all.into_iter().collect::<BTreeSet<_>>().len(),
        100,
    )
}

async fn remembers(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    for (options, round) in [
        (acking(member("acking"), LONG), 0),
        (member("automatic"), 1),
    ] {
        let payload = |i: usize| format!("{round}/{i}");
        let mut first = scope.consume(&options).await?;
        for i in 0..3 {
            scope.publish(&payload(i)).await?;
        }
        loop {
            let delivery = first.next().await?;
            if !delivery.token.0.is_empty() {
                scope.ack(&delivery).await?;
            }
            if text(&delivery.event) == payload(2) {
                break;
            }
        }
        drop(first);
        scope.publish(&payload(3)).await?;
        for start in [Start::Now, Start::Time(0)] {
            let again = ConsumeOptions {
                start,
                ..options.clone()
            };
            let mut second = scope.consume(&again).await?;
            let delivery = second.next().await?;
            same("what the next one gets", text(&delivery.event), payload(3))?;
            second.quiet("an event that was dealt with").await?;
            // Nobody acknowledged that one where acks are manual; where not, it is gone.
            if delivery.token.0.is_empty() {
                break;
            }
        }
    }
    Ok(())
}

async fn separate(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    let mut consumers = vec![
        scope.consume(&member("one")).await?,
        scope.consume(&acking(member("other"), LONG)).await?,
        scope.consume(&super::from_the_start()).await?,
    ];
    scope.publish_all(&["a", "b"]).await?;
    for consumer in &mut consumers {
        let wanted = ["a", "b"].map(str::to_owned).to_vec();
        same("what comes", consumer.texts(2).await?, wanted)?;
    }
    Ok(())
}

async fn replays(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    scope.publish_all(&["a", "b"]).await?;
    let options = ConsumeOptions {
        start: Start::Time(unix_millis().saturating_sub(120_000)),
        ..member("group")
    };
    let mut consumer = scope.consume(&options).await?;
    let wanted = ["a", "b"].map(str::to_owned).to_vec();
    same("what comes", consumer.texts(2).await?, wanted)?;
    consumer.quiet("an event that was delivered").await
}

async fn first_fixes_wait(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    let mut first = scope.consume(&acking(member("group"), SHORT)).await?;
    let mut second = scope.consume(&acking(member("group"), LONG)).await?;
    scope.publish("a").await?;
    let mut attempts = Vec::new();
    while attempts.len() < 3 {
        let (_, delivery) = either(&mut first, &mut second).await?;
        attempts.push(delivery.attempt);
    }
    same("the attempts", attempts, vec![1, 2, 3])
}

async fn leaver_gives_back(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    let options = acking(member("group"), LONG);
    let mut leaver = scope.consume(&options).await?;
    scope.publish_all(&["a", "b", "c"]).await?;
    let wanted = ["a", "b", "c"].map(str::to_owned).to_vec();
    same("what the first gets", &leaver.texts(3).await?, &wanted)?;
    let mut stays = scope.consume(&options).await?;
    stays.quiet("what another one has").await?;
    drop(leaver);
    let mut seen = Vec::new();
    for _ in 0..3 {
        let delivery = stays.next().await?;
        same("the attempt", delivery.attempt, 2)?;
        seen.push(text(&delivery.event));
        scope.ack(&delivery).await?;
    }
    same("what comes again", seen, wanted)
}

async fn lazy_member(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    let options = acking(member("group"), Duration::from_secs(1));
    let mut lazy = scope.consume(&options).await?;
    let mut keen = scope.consume(&options).await?;
    scope.publish("first").await?;
    // Reads once, if at all, and never again.
    lazy.within(QUIET).await?;
    let wanted: BTreeSet<_> = (0..100).map(|i| i.to_string()).collect();
    for payload in &wanted {
        scope.publish(payload).await?;
    }
    let mut seen = BTreeSet::new();
    while !seen.is_superset(&wanted) {
        let delivery = keen.next().await?;
        scope.ack(&delivery).await?;
        seen.insert(text(&delivery.event));
    }
    drop(lazy);
    Ok(())
}

async fn unacknowledged(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    let options = acking(member("group"), LONG);
    let mut first = scope.consume(&options).await?;
    scope.publish_all(&["a", "b", "c"]).await?;
    for payload in ["a", "b", "c"] {
        let delivery = first.next().await?;
        if payload != "b" {
            scope.ack(&delivery).await?;
        }
    }
    drop(first);
    let mut second = scope.consume(&options).await?;
    same("what is left", second.text().await?, "b".to_owned())?;
    second.quiet("an event that was acknowledged").await
}
