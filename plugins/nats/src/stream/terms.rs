//! Ack wait and retry limit of a group, which its first member fixes, wherever that is: members
//! ask those of other processes.

use std::time::Duration;

use bytes::Bytes;
use micro_plugin_api::stream::{Acks, ConsumeOptions};
use serde::{Deserialize, Serialize};

use super::{api, jet::Jet};

/// How long another process has to answer: one that hangs holds up nobody for long.
const ANSWER: Duration = Duration::from_secs(1);

#[derive(Serialize, Deserialize)]
struct Terms {
    wait: Duration,
    retry_limit: Option<u32>,
}

/// What members answer.
pub(super) fn text((wait, retry_limit): (Duration, Option<u32>)) -> Bytes {
    let terms = Terms { wait, retry_limit };
    serde_json::to_vec(&terms).unwrap_or_default().into()
}

/// The options of a member that comes: the terms of the group, where it has members elsewhere.
pub(super) async fn agreed(jet: &Jet, consumer: &str, options: &ConsumeOptions) -> ConsumeOptions {
    let mut agreed = options.clone();
    if options.acks == Acks::Automatic {
        return agreed;
    }
    let (subject, deadline) = (jet.layout.members(consumer), jet.connection.within(ANSWER));
    let answer = api::ask(&jet.connection, &subject, None, Bytes::new(), deadline).await;
    let terms = answer
        .ok()
        .and_then(|answer| serde_json::from_slice(&answer.payload).ok());
    if let Some(Terms { wait, retry_limit }) = terms {
        agreed.acks = Acks::Manual { wait };
        agreed.retry_limit = retry_limit;
    }
    agreed
}
