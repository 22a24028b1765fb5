//! What only a stream does that promises it: to last, and to be shared.

use micro_plugin_api::StreamHandle;

use super::{LONG, Scope, acking, from_the_start, member};
use crate::{
    Case,
    check::{Verdict, same},
    suite::{reopened, together},
};

pub(super) fn cases() -> Vec<Case<StreamHandle>> {
    vec![
        reopened!(
            "stream.durable.events",
            fill,
            is_there,
            "What was published is there when the stream is opened again, and a group goes on where it was."
        ),
        together!(
            "stream.shared.events",
            shares,
            "What is published through one instance is delivered through another, in one order."
        ),
        together!(
            "stream.shared.group",
            one_group,
            "A group has its members at any instance: what one of them has dealt with no other gets."
        ),
    ]
}

const GROUP: &str = "group";

async fn fill(stream: StreamHandle, topic: String) -> Verdict {
    let scope = Scope::of(stream, topic);
    scope.publish_all(&["a", "b", "c", "d"]).await?;
    let mut consumer = scope.consume(&acking(member(GROUP), LONG)).await?;
    for wanted in ["a", "b"] {
        let delivery = consumer.next().await?;
        same("the payload", super::text(&delivery.event).as_str(), wanted)?;
        scope.ack(&delivery).await?;
    }
    Ok(())
}

async fn is_there(stream: StreamHandle, topic: String) -> Verdict {
    let scope = Scope::of(stream, topic);
    scope.publish("e").await?;
    let all = ["a", "b", "c", "d", "e"];
    same(
        "the history",
        scope.payloads().await?,
        all.map(str::to_owned).to_vec(),
    )?;
    let mut consumer = scope.consume(&member(GROUP)).await?;
    let rest = ["c", "d", "e"].map(str::to_owned).to_vec();
    same("what the group gets", consumer.texts(3).await?, rest)
}

async fn shares(one: StreamHandle, other: StreamHandle) -> Verdict {
    let one = Scope::new(one);
    let other = Scope::of(other, one.topic.clone());
    let mut consumer = one.consume(&from_the_start()).await?;
    let mut wanted = Vec::new();
    for number in 0..20 {
        let (scope, payload) = if number % 2 == 0 {
            (&one, format!("one {number}"))
        } else {
            (&other, format!("other {number}"))
        };
        scope.publish(&payload).await?;
        wanted.push(payload);
    }
    same("the deliveries", consumer.texts(20).await?, wanted.clone())?;
    same("the history at one", one.payloads().await?, wanted.clone())?;
    same("the history at the other", other.payloads().await?, wanted)
}

async fn one_group(one: StreamHandle, other: StreamHandle) -> Verdict {
    let one = Scope::new(one);
    let other = Scope::of(other, one.topic.clone());
    one.publish_all(&["a", "b"]).await?;
    let mut first = one.consume(&acking(member(GROUP), LONG)).await?;
    for _ in 0..2 {
        let delivery = first.next().await?;
        one.ack(&delivery).await?;
    }
    let mut second = other.consume(&acking(member(GROUP), LONG)).await?;
    second
        .quiet("dealt with by a member at another instance")
        .await?;
    drop(first);
    one.publish("c").await?;
    same("what is left", second.text().await?.as_str(), "c")
}
