//! Subscribers that share the messages of a topic.

use std::time::Duration;

use micro_plugin_api::BrokerHandle;

use super::{Scope, collect, shared};
use crate::{Case, check::Verdict, suite::case, wait::eventually};

pub(super) fn cases() -> Vec<Case<BrokerHandle>> {
    vec![
        case!(
            "broker.queue.shared",
            share,
            "each message goes to one member of a queue, and every member is used"
        ),
        case!(
            "broker.queue.beside-others",
            beside_others,
            "a queue takes nothing from other queues of the topic and from those without one"
        ),
        case!(
            "broker.queue.of-one-topic",
            of_one_topic,
            "a queue belongs to its topic: the same name in another topic is another queue"
        ),
        case!(
            "broker.queue.bytewise",
            bytewise,
            "queues whose names differ in case, or look like a pattern of each other, are different"
        ),
        case!(
            "broker.queue.member-leaves",
            member_leaves,
            "what is published after a member was dropped goes to the others"
        ),
        case!(
            "broker.queue.nothing-kept",
            nothing_kept,
            "a queue without members keeps nothing for the next one"
        ),
    ]
}

async fn share(broker: BrokerHandle) -> Verdict {
    let scope = Scope::new(broker);
    let members = vec![scope.join("q").await?, scope.join("q").await?];
    // Not more than may wait for one member.
    scope.publish_all(0..100).await?;
    shared(&collect(members, 100).await?, 100)
}

async fn beside_others(broker: BrokerHandle) -> Verdict {
    let scope = Scope::new(broker);
    let mut alone = scope.subscribe().await?;
    let one = vec![scope.join("one").await?, scope.join("one").await?];
    let two = scope.join("two").await?;
    scope.publish_all(0..100).await?;
    shared(&collect(one, 100).await?, 100)?;
    alone.expect("without a queue", 0..100).await?;
    shared(&collect(vec![two], 100).await?, 100)
}

async fn of_one_topic(broker: BrokerHandle) -> Verdict {
    let scope = Scope::new(broker);
    let other = scope.other("other");
    let (mut here, mut there) = (scope.join("q").await?, other.join("q").await?);
    for number in 0..20 {
        scope.publish(number).await?;
        here.expect("here", [number]).await?;
        other.publish(number + 100).await?;
        there.expect("there", [number + 100]).await?;
    }
    Ok(())
}

async fn bytewise(broker: BrokerHandle) -> Verdict {
    let scope = Scope::new(broker);
    let mut inboxes = Vec::new();
    for queue in ["q", "Q", "q ", "*", ">", "q.*", "ü"] {
        inboxes.push((queue, scope.join(queue).await?));
    }
    scope.publish(1).await?;
    for (queue, inbox) in &mut inboxes {
        inbox.expect(&format!("the queue {queue:?}"), [1]).await?;
    }
    Ok(())
}

async fn member_leaves(broker: BrokerHandle) -> Verdict {
    let scope = Scope::new(broker);
    let (mut stays, leaves) = (scope.join("q").await?, scope.join("q").await?);
    drop(leaves);
    // A backend may need a moment to hear of it: what it sends there meanwhile is lost. The
    // numbers go up, so that a message which comes late is told from one that is expected.
    let mut number = 0;
    eventually("everything goes to the member that stays", async || {
        let first = number;
        number += 20;
        scope.publish_all(first..number).await?;
        let mut came = 0;
        loop {
            let next = tokio::time::timeout(Duration::from_millis(500), stays.number());
            let Ok(got) = next.await else {
                return Ok(false);
            };
            if got? >= first {
                came += 1;
            }
            if came == 20 {
                return Ok(true);
            }
        }
    })
    .await
}

async fn nothing_kept(broker: BrokerHandle) -> Verdict {
    let scope = Scope::new(broker);
    let member = scope.join("q").await?;
    scope.publish_all(0..10).await?;
    drop(member);
    let mut next = scope.join("q").await?;
    scope.publish(10).await?;
    next.expect("a member of later", [10]).await
}
