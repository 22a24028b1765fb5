//! Who gets a message, and what of it.

use std::collections::BTreeMap;

use bytes::Bytes;
use micro_plugin_api::{BrokerHandle, Code, broker::Message};

use super::{Scope, failed};
use crate::{
    Case,
    check::{Verdict, fails, joined, same},
    suite::case,
};

pub(super) fn cases() -> Vec<Case<BrokerHandle>> {
    vec![
        case!(
            "broker.deliver.everybody",
            everybody,
            "every subscriber without a queue gets every message"
        ),
        case!(
            "broker.deliver.unchanged",
            unchanged,
            "header and body arrive as they were published, whatever characters or bytes they hold"
        ),
        case!(
            "broker.deliver.nobody",
            nobody,
            "publishing to a topic without subscribers succeeds, and nothing is kept for later"
        ),
        case!(
            "broker.deliver.from-subscribing-on",
            from_subscribing_on,
            "a subscriber gets what is published once its call to subscribe has returned"
        ),
        case!(
            "broker.deliver.in-order",
            in_order,
            "messages published one after the other reach a subscriber in that order"
        ),
        case!(
            "broker.deliver.once",
            once,
            "with many publishers at once no message is missing and none comes twice"
        ),
        case!(
            "broker.deliver.large",
            large,
            "a message of the greatest size is carried; a larger one is invalid"
        ),
    ]
}

async fn everybody(broker: BrokerHandle) -> Verdict {
    let scope = Scope::new(broker);
    let (mut one, mut two) = (scope.subscribe().await?, scope.subscribe().await?);
    scope.publish_all(0..10).await?;
    one.expect("the first subscriber", 0..10).await?;
    two.expect("the second subscriber", 0..10).await
}

async fn unchanged(broker: BrokerHandle) -> Verdict {
    let scope = Scope::new(broker);
    let mut inbox = scope.subscribe().await?;
    let every_byte: Vec<u8> = (0..=255).collect();
    let odd = Message::new(every_byte)
        .with_header("Content-Type", "application/json")
        .with_header("content-type", "of another case")
        .with_header("naïve: key", "ünï\r\nX-Injected: 1\t🦀 ")
        .with_header("empty", "")
        .with_header(" spaced ", " value ");
    let binary_zero = Message::new(Bytes::from_static(b"\0\0")).with_header("a", "b\0c");
    for message in [Message::default(), odd, binary_zero] {
        scope.send(message.clone()).await?;
        same("a message", inbox.delivery().await?.message, message)?;
    }
    Ok(())
}

async fn nobody(broker: BrokerHandle) -> Verdict {
    let scope = Scope::new(broker);
    scope.publish_all(0..10).await?;
    let mut inbox = scope.subscribe().await?;
    scope.publish(10).await?;
    inbox.expect("after what nobody heard", [10]).await
}

async fn from_subscribing_on(broker: BrokerHandle) -> Verdict {
    let scope = Scope::new(broker);
    for round in 0..50 {
        let mut inbox = scope.subscribe().await?;
        scope.publish(round).await?;
        inbox.expect("the first message", [round]).await?;
    }
    Ok(())
}

async fn in_order(broker: BrokerHandle) -> Verdict {
    let scope = Scope::new(broker);
    let mut inbox = scope.subscribe().await?;
    for batch in 0..20 {
        let numbers = batch * 100..(batch + 1) * 100;
        scope.publish_all(numbers.clone()).await?;
        inbox.expect("in order", numbers).await?;
    }
    Ok(())
}

async fn once(broker: BrokerHandle) -> Verdict {
    const PUBLISHERS: u64 = 16;
    const EACH: u64 = 50;
    let scope = Scope::new(broker);
    let (mut one, mut two) = (scope.subscribe().await?, scope.subscribe().await?);
    let mut publishers = Vec::new();
    for publisher in 0..PUBLISHERS {
        let scope = scope.clone();
        publishers.push(tokio::spawn(async move {
            let first = publisher * EACH;
            scope.publish_all(first..first + EACH).await
        }));
    }
    let mut seen = BTreeMap::<u64, (u32, u32)>::new();
    for _ in 0..PUBLISHERS * EACH {
        let (one, two) = tokio::join!(one.number(), two.number());
        seen.entry(one?).or_default().0 += 1;
        seen.entry(two?).or_default().1 += 1;
    }
    for publisher in publishers {
        joined(publisher).await??;
    }
    let odd = seen.iter().find(|(_, times)| **times != (1, 1));
    same("how often a message came to each", odd, None)?;
    // Nothing more was on its way.
    scope.publish(u64::MAX).await?;
    one.expect("after all of them", [u64::MAX]).await?;
    two.expect("after all of them", [u64::MAX]).await
}

async fn large(broker: BrokerHandle) -> Verdict {
    let scope = Scope::new(broker);
    let mut inbox = scope.subscribe().await?;
    let body: Vec<u8> = (0..Message::MAX_BYTES - 4)
        .map(|at| u8::try_from(at % 251).unwrap_or_default())
        .collect();
    let largest = Message::new(body).with_header("na", "me");
    let too_large = Message::new(largest.body.clone()).with_header("name", "me");
    scope.send(largest.clone()).await?;
    let arrived = inbox.delivery().await?.message;
    if arrived != largest {
        return Err(failed("the largest message arrived changed"));
    }
    let refused = scope.send(too_large).await;
    fails("a message that is too large", refused, Code::INVALID)?;
    scope.publish(1).await?;
    inbox.expect("after one that is too large", [1]).await
}
