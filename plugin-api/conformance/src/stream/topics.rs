//! Rules about topics: any text is one, and none sees another's events.

use micro_plugin_api::{
    Code, StreamHandle,
    stream::{ConsumeOptions, HistoryQuery, NewEvent},
};

use super::{Scope, from_the_start, member};
use crate::{
    Case,
    check::{Verdict, fails, same},
    suite::case,
};

pub(super) fn cases() -> Vec<Case<StreamHandle>> {
    vec![
        case!(
            "stream.topic.any-text",
            any_text,
            "Any text is a topic of its own: separators, patterns, case, spaces, other scripts."
        ),
        case!(
            "stream.topic.longest",
            longest,
            "A topic may have 512 bytes, and differ from another in the last of them."
        ),
        case!(
            "stream.topic.isolated",
            isolated,
            "Consumers and groups of one topic see nothing of another, its prefix or its group's name alike."
        ),
        case!(
            "stream.topic.empty",
            empty,
            "An empty topic is invalid to publish to, to consume and to read."
        ),
    ]
}

const ODD_TOPICS: [&str; 20] = [
    "a/b",
    "a.b",
    "a",
    "A",
    "a.",
    ".a",
    "a.*",
    "a.>",
    "*",
    ">",
    "a b",
    " a",
    "a\\b",
    "a'b\"c",
    "a;--",
    "a\nb",
    "a\0b",
    "é",
    "e\u{301}",
    "日本語🦀",
];

async fn any_text(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    let topics: Vec<_> = ODD_TOPICS.iter().map(|topic| scope.other(topic)).collect();
    let mut consumers = Vec::new();
    for topic in &topics {
        consumers.push(topic.consume(&from_the_start()).await?);
        topic.publish(&topic.topic).await?;
    }
    for (topic, consumer) in topics.iter().zip(&mut consumers) {
        let event = consumer.next().await?.event;
        same("the topic", &event.topic, &topic.topic)?;
        same(
            "its history",
            topic.payloads().await?,
            vec![topic.topic.clone()],
        )?;
    }
    for (topic, consumer) in topics.iter().zip(&mut consumers) {
        topic.publish("last").await?;
        same("the next event", consumer.text().await?, "last".to_owned())?;
    }
    Ok(())
}

async fn longest(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    let start = format!("{}{}", scope.topic, "é".repeat(300));
    let mut end = NewEvent::MAX_TOPIC - 1;
    while !start.is_char_boundary(end) {
        end -= 1;
    }
    let pad = "x".repeat(NewEvent::MAX_TOPIC - 1 - end);
    for last in ["1", "2"] {
        let topic = format!("{}{pad}{last}", &start[..end]);
        let scope = Scope {
            topic,
            ..scope.clone()
        };
        scope.publish(last).await?;
        same(
            "the history",
            scope.payloads().await?,
            vec![last.to_owned()],
        )?;
    }
    Ok(())
}

async fn isolated(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    let (one, below) = (scope.other("one"), scope.other("one/below"));
    let mut alone = one.consume(&from_the_start()).await?;
    let mut grouped = one.consume(&member("group")).await?;
    let mut other = below.consume(&member("group")).await?;
    below.publish("below").await?;
    same("the other's", other.text().await?, "below".to_owned())?;
    alone.quiet("an event of another topic").await?;
    grouped.quiet("an event of another topic's group").await?;
    one.publish("one").await?;
    same("its own", alone.text().await?, "one".to_owned())?;
    same("its group's", grouped.text().await?, "one".to_owned())?;
    other.quiet("an event of a topic that is its prefix").await
}

async fn empty(stream: StreamHandle) -> Verdict {
    let scope = Scope::new(stream);
    let published = scope
        .stream
        .publish(&scope.call(), &[NewEvent::new("", "x")])
        .await;
    fails("publish", published, Code::INVALID)?;
    let consumed = scope
        .stream
        .consume(&scope.call(), "", &ConsumeOptions::default())
        .await;
    fails("consume", consumed.map(|_| ()), Code::INVALID)?;
    let read = scope
        .stream
        .history(&scope.call(), "", &HistoryQuery::default())
        .await;
    fails("history", read.map(|_| ()), Code::INVALID)?;
    Ok(())
}
