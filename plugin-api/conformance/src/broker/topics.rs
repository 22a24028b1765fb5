//! What a topic is: a name, and nothing but that name.

use micro_plugin_api::{BrokerHandle, Code, broker::Message};

use super::Scope;
use crate::{
    Case,
    check::{Verdict, fails, unique},
    suite::case,
};

pub(super) fn cases() -> Vec<Case<BrokerHandle>> {
    vec![
        case!(
            "broker.topic.isolated",
            isolated,
            "a message reaches the subscribers of its own topic and no others"
        ),
        case!(
            "broker.topic.literal",
            literal,
            "no character of a topic has a meaning of its own, wildcards and separators included"
        ),
        case!(
            "broker.topic.bytewise",
            bytewise,
            "topics that differ in case, white space or Unicode form are different"
        ),
        case!(
            "broker.topic.length",
            length,
            "names of topics and queues have 1 to 512 bytes; others are invalid"
        ),
    ]
}

/// Of these topics each gets its own message and no other.
async fn each_its_own(scope: &Scope, names: &[&str]) -> Verdict {
    let mut inboxes = Vec::new();
    for name in names {
        inboxes.push(scope.other(name).subscribe().await?);
    }
    for (number, name) in (0..).zip(names) {
        scope.other(name).publish(number).await?;
    }
    for (number, (name, inbox)) in (0..).zip(names.iter().zip(&mut inboxes)) {
        let what = format!("the topic {name:?}");
        inbox.expect(&what, [number]).await?;
        scope.other(name).publish(100).await?;
        inbox.expect(&what, [100]).await?;
    }
    Ok(())
}

async fn isolated(broker: BrokerHandle) -> Verdict {
    each_its_own(&Scope::new(broker), &["", "a", "b", "ab", "a/b", "a.b"]).await
}

async fn literal(broker: BrokerHandle) -> Verdict {
    let names = [
        ".*", ".>", ".a.b", ".a.*", ".*.b", ".", "..", "*", ">", "#", "+", "?", "%", "%2E", "_",
        "$", "\\", "\"", "[a-z]", ":", "a b", "\t", "\n",
    ];
    each_its_own(&Scope::new(broker), &names).await
}

async fn bytewise(broker: BrokerHandle) -> Verdict {
    let names = ["a", "A", "a ", " a", "é", "e\u{301}", "É", "ß", "ss"];
    each_its_own(&Scope::new(broker), &names).await
}

async fn length(broker: BrokerHandle) -> Verdict {
    let scope = Scope::new(broker);
    let longest = format!("{:x<width$}", unique("long"), width = Message::MAX_NAME);
    let long = Scope {
        topic: longest.clone(),
        ..scope.clone()
    };
    let mut inbox = long.join(&longest).await?;
    long.publish(1).await?;
    inbox.expect("the longest name", [1]).await?;
    for name in [String::new(), longest + "x"] {
        let what = format!("a name of {} bytes", name.len());
        let published = scope.broker.publish(&scope.call, &name, Message::default());
        fails(&what, published.await, Code::INVALID)?;
        let subscribed = scope.broker.subscribe(&scope.call, &name, None).await;
        fails(&what, subscribed.map(drop), Code::INVALID)?;
        let joined = scope
            .broker
            .subscribe(&scope.call, &scope.topic, Some(&name));
        fails(&what, joined.await.map(drop), Code::INVALID)?;
    }
    Ok(())
}
