//! How subscriptions begin and end.

use std::time::Duration;

use futures::StreamExt as _;
use micro_plugin_api::{BrokerHandle, Call};

use super::{Inbox, PATIENCE, Scope, failed};
use crate::{
    Case,
    check::{Verdict, joined},
    suite::case,
};

pub(super) fn cases() -> Vec<Case<BrokerHandle>> {
    vec![
        case!(
            "broker.subscription.outlives-its-call",
            outlives_its_call,
            "the deadline of the call that subscribes does not end the subscription"
        ),
        case!(
            "broker.subscription.dropped",
            dropped,
            "subscribers come and go in numbers, and those who stay notice nothing"
        ),
        case!(
            "broker.subscription.concurrent",
            concurrent,
            "subscribing, leaving and publishing at the same time loses nobody's messages"
        ),
        case!(
            "broker.shutdown.ends",
            ends,
            "a subscription ends when its broker is shut down"
        ),
    ]
}

async fn outlives_its_call(broker: BrokerHandle) -> Verdict {
    let scope = Scope::new(broker);
    let timeout = Duration::from_millis(200);
    let call = Call::new(&scope.topic).with_timeout(timeout);
    let subscribed = scope.broker.subscribe(&call, &scope.topic, None).await?;
    let mut inbox = Inbox(subscribed);
    // Not a wait: the deadline has to pass.
    tokio::time::sleep(2 * timeout).await;
    scope.publish(1).await?;
    inbox.expect("after the deadline", [1]).await
}

async fn dropped(broker: BrokerHandle) -> Verdict {
    let scope = Scope::new(broker);
    let mut stays = scope.subscribe().await?;
    for round in 0..10 {
        let mut guests = Vec::new();
        for guest in 0..50 {
            guests.push(if guest % 2 == 0 {
                scope.subscribe().await?
            } else {
                scope.join("q").await?
            });
        }
        scope.publish(round).await?;
        drop(guests);
        scope.publish(round + 100).await?;
        stays.expect("who stays", [round, round + 100]).await?;
    }
    Ok(())
}

async fn concurrent(broker: BrokerHandle) -> Verdict {
    let scope = Scope::new(broker);
    let mut stays = scope.subscribe().await?;
    let mut guests = Vec::new();
    for guest in 0..8 {
        let scope = scope.clone();
        guests.push(tokio::spawn(async move {
            for round in 0..20 {
                let queue = format!("queue-{}", (guest + round) % 3);
                drop(scope.subscribed((round % 2 == 0).then_some(&queue)).await?);
            }
            Verdict::Ok(())
        }));
    }
    for number in 0..200 {
        scope.publish(number).await?;
        stays.expect("who stays", [number]).await?;
    }
    for guest in guests {
        joined(guest).await??;
    }
    Ok(())
}

async fn ends(broker: BrokerHandle) -> Verdict {
    let scope = Scope::new(broker);
    let mut inbox = scope.subscribe().await?;
    scope.broker.shutdown(&scope.call).await?;
    loop {
        match tokio::time::timeout(PATIENCE, inbox.0.next()).await {
            Ok(None | Some(Err(_))) => return Ok(()),
            Ok(Some(Ok(_))) => {}
            Err(_) => return Err(failed("it goes on after the shutdown")),
        }
    }
}
