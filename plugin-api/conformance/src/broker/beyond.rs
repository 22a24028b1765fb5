//! What only a broker does that promises it: to be shared.

use micro_plugin_api::BrokerHandle;

use super::{Scope, collect, shared};
use crate::{Case, check::Verdict, suite::together};

pub(super) fn cases() -> Vec<Case<BrokerHandle>> {
    vec![
        together!(
            "broker.shared.messages",
            crosses,
            "What is published through one instance reaches the subscribers of another, in its order."
        ),
        together!(
            "broker.shared.queue",
            one_queue,
            "A queue has its members at any instance: they share its messages."
        ),
    ]
}

async fn crosses(one: BrokerHandle, other: BrokerHandle) -> Verdict {
    let one = Scope::new(one);
    let other = Scope::of(other, one.topic.clone());
    let (mut here, mut there) = (one.subscribe().await?, other.subscribe().await?);
    one.publish_all(0..50).await?;
    here.expect("at the same instance", 0..50).await?;
    there.expect("at another instance", 0..50).await
}

async fn one_queue(one: BrokerHandle, other: BrokerHandle) -> Verdict {
    let one = Scope::new(one);
    let other = Scope::of(other, one.topic.clone());
    let members = vec![one.join("queue").await?, other.join("queue").await?];
    one.publish_all(0..100).await?;
    shared(&collect(members, 100).await?, 100)
}
