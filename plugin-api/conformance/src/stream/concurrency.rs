//! Rules about many at once, and about calls that are dropped half way.

use std::{collections::BTreeSet, time::Duration};

use micro_plugin_api::StreamHandle;

use super::{LONG, Scope, acking, from_the_start, member, text};
use crate::{
    Case,
    check::{Verdict, ensure, joined, same},
    suite::case,
    wait::eventually,
};

pub(super) fn cases() -> Vec<Case<StreamHandle>> {
    vec![
        case!(
            "stream.concurrent.publishers",
            publishers,
            "What concurrent publishers publish is all there, each one's in its order, for consumers and history alike."
        ),
        case!(
            "stream.concurrent.members",
            members,
            "Members that join and leave while others publish lose nothing that nobody acknowledged."
        ),
        case!(
            "stream.cancel.publish",
            cancelled,
            "A publish that is dropped half way happens wholly or not at all, and harms no other."
        ),
    ]
}

const TASKS: usize = 16;

async fn publishers(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    let mut consumer = scope.consume(&from_the_start()).await?;
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let scope = scope.clone();
            tokio::spawn(async move {
                for i in 0..25 {
                    scope.publish(&format!("{task:02}/{i:02}")).await?;
                }
                Verdict::Ok(())
            })
        })
        .collect();
    let seen = consumer.texts(TASKS * 25).await?;
    for task in tasks {
        joined(task).await??;
    }
    same("the history", &scope.payloads().await?, &seen)?;
    for task in 0..TASKS {
        let prefix = format!("{task:02}/");
        let own: Vec<_> = seen.iter().filter(|it| it.starts_with(&prefix)).collect();
        same("a publisher's events", own.len(), 25)?;
        ensure!(own.is_sorted(), "not in its order: {own:?}");
    }
    Ok(())
}

async fn members(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    let options = acking(member("group"), LONG);
    let publisher = scope.clone();
    let publishing = tokio::spawn(async move {
        for i in 0..200 {
            publisher.publish(&i.to_string()).await?;
        }
        Verdict::Ok(())
    });
    let mut acknowledged = BTreeSet::new();
    let mut round = 0;
    while acknowledged.len() < 200 {
        let mut consumer = scope.consume(&options).await?;
        // Takes some, acknowledges all but the last, and leaves.
        for i in 0..=(round % 20) {
            let Some(delivery) = consumer.within(Duration::from_secs(2)).await? else {
                break;
            };
            if i < round % 20 {
                scope.ack(&delivery).await?;
                let is_new = acknowledged.insert(text(&delivery.event));
                ensure!(is_new, "{:?} came after its ack", text(&delivery.event));
            }
        }
        round += 1;
        ensure!(round < 2_000, "{} of 200 events", acknowledged.len());
    }
    joined(publishing).await?
}

async fn cancelled(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    for i in 0..60 {
        let payloads: Vec<_> = (0..3).map(|part| format!("{i:03}/{part}")).collect();
        let batch: Vec<_> = payloads.iter().map(String::as_str).collect();
        let publish = scope.publish_all(&batch);
        futures::pin_mut!(publish);
        for _ in 0..i % 4 {
            if futures::poll!(&mut publish).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    scope.publish_all(&["060/0", "060/1", "060/2"]).await?;
    // One that was dropped may still be under way for a while, so this waits for a state of rest.
    eventually("every dropped batch is whole or absent", async || {
        let seen = scope.payloads().await?;
        ensure!(
            seen.iter().any(|payload| payload == "060/0"),
            "a batch that was not dropped is not there"
        );
        let parts = |i: usize| {
            let prefix = format!("{i:03}/");
            seen.iter().filter(|it| it.starts_with(&prefix)).count()
        };
        Ok((0..=60).all(|i| matches!(parts(i), 0 | 3)))
    })
    .await
}
