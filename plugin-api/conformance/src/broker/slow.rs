//! Subscribers that do not read.

use micro_plugin_api::{BrokerHandle, broker::Message};

use super::{Inbox, NUMBER, Scope, number};
use crate::{
    Case,
    check::{Verdict, ensure, same},
    suite::case,
};

/// More than a broker keeps for one subscriber, in messages of a kilobyte.
const FLOOD: u64 = Message::MAX_WAITING as u64 + 2_000;

pub(super) fn cases() -> Vec<Case<BrokerHandle>> {
    vec![
        case!(
            "broker.slow.waits",
            waits,
            "at least 128 messages wait for a subscriber that does not read"
        ),
        case!(
            "broker.slow.told",
            told,
            "what waits is bounded, and a subscriber is told exactly how many messages it lost"
        ),
        case!(
            "broker.slow.alone",
            alone,
            "a subscriber that does not read holds up no publisher, and no other subscriber loses \
             anything"
        ),
        case!(
            "broker.slow.recovers",
            recovers,
            "a subscriber that lost messages and reads again loses no more"
        ),
    ]
}

fn kilobyte(number: u64) -> Message {
    Message::new(vec![0; 1_000]).with_header(NUMBER, number.to_string())
}

async fn flood(scope: &Scope) -> Verdict {
    for number in 0..FLOOD {
        scope.send(kilobyte(number)).await?;
    }
    Ok(())
}

/// Publishes messages after a flood until one of them comes: how many came and were lost by then,
/// and how many had been published.
async fn drain(scope: &Scope, inbox: &mut Inbox) -> Verdict<(u64, u64, u64)> {
    let mut next = FLOOD;
    let (mut came, mut lost) = (0, 0);
    loop {
        // While the flood is being read there is room for more.
        scope.publish(next).await?;
        next += 1;
        let delivery = inbox.delivery().await?;
        lost += delivery.lost;
        came += 1;
        let number = number(&delivery)?;
        if number >= FLOOD {
            return Ok((came, lost, number + 1));
        }
    }
}

async fn waits(broker: BrokerHandle) -> Verdict {
    let scope = Scope::new(broker);
    let mut inbox = scope.subscribe().await?;
    let numbers = 0..Message::MIN_WAITING as u64;
    scope.publish_all(numbers.clone()).await?;
    inbox.expect("what waited", numbers).await
}

async fn told(broker: BrokerHandle) -> Verdict {
    let scope = Scope::new(broker);
    let mut inbox = scope.subscribe().await?;
    flood(&scope).await?;
    let (came, lost, published) = drain(&scope, &mut inbox).await?;
    ensure!(
        lost > 0,
        "all of {FLOOD} messages waited: what waits is not bounded, or losses are not told"
    );
    same("messages that came and were lost", came + lost, published)
}

async fn alone(broker: BrokerHandle) -> Verdict {
    let scope = Scope::new(broker);
    let _slow = scope.subscribe().await?;
    let mut quick = scope.subscribe().await?;
    for number in 0..FLOOD {
        scope.send(kilobyte(number)).await?;
        quick.expect("the subscriber that reads", [number]).await?;
    }
    Ok(())
}

async fn recovers(broker: BrokerHandle) -> Verdict {
    let scope = Scope::new(broker);
    let mut inbox = scope.subscribe().await?;
    flood(&scope).await?;
    let (.., read) = drain(&scope, &mut inbox).await?;
    // What was published while the flood was read.
    let last = u64::MAX;
    scope.publish(last).await?;
    let mut next = read;
    loop {
        match inbox.number().await? {
            number if number == last => break,
            number => {
                same("after the flood", number, next)?;
                next += 1;
            }
        }
    }
    scope.publish_all(0..100).await?;
    inbox.expect("when it reads again", 0..100).await
}
