//! The consumer of JetStream that events come by: a group's durable one, or one of somebody alone,
//! which ends with him and is made anew where it was.

use std::sync::Arc;

use micro_plugin_api::stream::Start;
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    api::{self, ConsumerInfo, Failure, code},
    entry::Entry,
    jet::Jet,
    puller::{Pulled, Puller},
};
use crate::connection::Deadline;

/// How long a consumer of somebody alone outlives the last that was heard of him, in nanoseconds.
const FORGOTTEN: u64 = 60_000_000_000;

/// For how long a message may be with a process that does not say that it still has it, in
/// nanoseconds. See [`super::feed`].
pub(super) const HELD: u64 = 15_000_000_000;

/// A consumer, and how one pulls from it.
pub(super) struct Line {
    jet: Arc<Jet>,
    kind: Kind,
    /// Whether the consumer is there, as far as is known.
    is_sure: bool,
    puller: Option<Puller>,
}

enum Kind {
    /// A durable consumer of this name, made like this if it is not there.
    Group { name: String, config: Value },
    /// A consumer of one's own.
    Alone {
        subject: String,
        /// Its name while there is one.
        name: Option<String>,
        /// The message to go on with.
        next: u64,
        /// The number of the last message among those that the consumer sent.
        number: u64,
    },
}

impl Line {
    /// The durable consumer of a group, which is made if it is not there.
    pub(super) async fn of_group(
        jet: &Arc<Jet>,
        name: String,
        topic: &str,
        group: &str,
        start: Start,
        deadline: Deadline,
    ) -> Result<Self, Failure> {
        let mut config = json!({
            "durable_name": name,
            "description": format!("micro: the group {group:?} of the topic {topic:?}"),
            "ack_policy": "explicit",
            "ack_wait": HELD,
            // How often an event is delivered is counted by the plugin, for each event.
            "max_deliver": -1,
            "max_ack_pending": -1,
            "filter_subject": jet.layout.topic(topic),
            "replay_policy": "instant",
            "inactive_threshold": u64::try_from(jet.setup.max_age().as_nanos()).unwrap_or(0),
        });
        begin(&mut config, start);
        let kind = Kind::Group { name, config };
        let mut line = Self {
            jet: jet.clone(),
            kind,
            is_sure: true,
            puller: None,
        };
        line.make(deadline).await?;
        Ok(line)
    }

    /// A consumer of one's own, and how many messages wait for it.
    pub(super) async fn alone(
        jet: &Arc<Jet>,
        topic: &str,
        start: Start,
        deadline: Deadline,
    ) -> Result<(Self, u64), Failure> {
        let subject = jet.layout.topic(topic);
        let mut config = alone(&subject);
        begin(&mut config, start);
        let info = create(jet, &config, deadline).await?;
        let kind = Kind::Alone {
            subject,
            name: Some(info.name),
            next: info.delivered.stream_seq + 1,
            number: 0,
        };
        let line = Self {
            jet: jet.clone(),
            kind,
            is_sure: true,
            puller: None,
        };
        Ok((line, info.num_pending))
    }

    /// Sees to it that the consumer is there, and that one can pull from it.
    pub(super) async fn up(&mut self, deadline: Deadline) -> Result<&mut Puller, Failure> {
        if !self.is_sure {
            self.make(deadline).await?;
            self.is_sure = true;
        }
        let puller = match self.puller.take() {
            Some(puller) => puller,
            None => Puller::open(&self.jet, self.name().unwrap_or_default()).await?,
        };
        Ok(self.puller.insert(puller))
    }

    /// Whether no request is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.puller.as_ref().is_none_or(Puller::is_idle)
    }

    /// The connection was lost or made anew: what was asked for does not come, and the server may
    /// know the consumer no more. How many messages were asked for.
    pub(super) fn reset(&mut self) -> usize {
        let left = self.puller.as_mut().map_or(0, Puller::reset);
        match self.kind {
            Kind::Group { .. } => self.is_sure = false,
            Kind::Alone { .. } => self.forget(),
        }
        left
    }

    fn name(&self) -> Option<&str> {
        match &self.kind {
            Kind::Group { name, .. } => Some(name),
            Kind::Alone { name, .. } => name.as_deref(),
        }
    }

    async fn make(&mut self, deadline: Deadline) -> Result<(), Failure> {
        match &mut self.kind {
            Kind::Group { name, config } => durable(&self.jet, name, config, deadline).await,
            Kind::Alone { name: Some(_), .. } => Ok(()),
            Kind::Alone {
                subject,
                name,
                next,
                number,
            } => {
                let mut config = alone(subject);
                config["deliver_policy"] = json!("by_start_sequence");
                config["opt_start_seq"] = json!((*next).max(1));
                let info = create(&self.jet, &config, deadline).await?;
                *name = Some(info.name);
                *number = 0;
                Ok(())
            }
        }
    }

    /// Waits for what comes; for ever while nothing was asked for. May be dropped and called again.
    pub(super) async fn next(&mut self) -> Pulled {
        let Some(puller) = &mut self.puller else {
            return std::future::pending().await;
        };
        let pulled = puller.next().await;
        match &pulled {
            Pulled::Entry(entry) if !self.follows(entry) => {
                self.forget();
                Pulled::Gone
            }
            Pulled::Gone => {
                self.forget();
                pulled
            }
            _ => pulled,
        }
    }

    /// Whether nothing was lost on the way before this message.
    fn follows(&mut self, entry: &Entry) -> bool {
        let Kind::Alone { next, number, .. } = &mut self.kind else {
            return true;
        };
        let follows = entry.delivery.number == *number + 1 && entry.sequence >= *next;
        if follows {
            *number += 1;
            *next = entry.sequence + 1;
        }
        follows
    }

    /// What is known of the consumer may be wrong.
    fn forget(&mut self) {
        self.puller = None;
        self.is_sure = false;
        self.release();
    }

    /// Lets a consumer of one's own go.
    fn release(&mut self) {
        let Kind::Alone { name, .. } = &mut self.kind else {
            return;
        };
        let (Some(name), Ok(runtime)) = (name.take(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        let jet = self.jet.clone();
        if jet.connection.is_up() {
            runtime.spawn(async move {
                let events = &jet.layout.events;
                let subject = format!("$JS.API.CONSUMER.DELETE.{events}.{name}");
                // Without this it ends a little later, by itself.
                let client = jet.connection.client();
                let nobody = client.new_inbox();
                let _ = client.publish_with_reply(subject, nobody, "".into()).await;
            });
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.release();
    }
}

fn alone(subject: &str) -> Value {
    json!({
        "ack_policy": "none",
        "filter_subject": subject,
        "replay_policy": "instant",
        "mem_storage": true,
        "num_replicas": 1,
        "inactive_threshold": FORGOTTEN,
    })
}

fn begin(config: &mut Value, start: Start) {
    match start {
        Start::Now => config["deliver_policy"] = json!("new"),
        Start::Time(0) => config["deliver_policy"] = json!("all"),
        Start::Time(millis) => {
            config["deliver_policy"] = json!("by_start_time");
            config["opt_start_time"] = json!(rfc3339(millis));
        }
    }
}

/// A moment as JetStream reads one. It counts nanoseconds, which end in 2262.
fn rfc3339(millis: u64) -> String {
    let last = i128::from(i64::MAX) - 1_000_000_000;
    let nanos = (i128::from(millis) * 1_000_000).min(last);
    let moment = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok();
    let text = moment.and_then(|moment| moment.format(&Rfc3339).ok());
    text.unwrap_or_default()
}

async fn create(jet: &Jet, config: &Value, deadline: Deadline) -> Result<ConsumerInfo, Failure> {
    let events = &jet.layout.events;
    let body = json!({"stream_name": events, "config": config});
    let name = format!("CONSUMER.CREATE.{events}");
    api::request(&jet.connection, &name, &body, deadline).await
}

async fn durable(jet: &Jet, name: &str, config: &Value, deadline: Deadline) -> Result<(), Failure> {
    match known(jet, name, deadline).await {
        Err(failure) if failure.is(code::CONSUMER_NOT_FOUND) => {}
        known => return known,
    }
    let events = &jet.layout.events;
    let body = json!({"stream_name": events, "config": config});
    let create = format!("CONSUMER.DURABLE.CREATE.{events}.{name}");
    match api::request::<ConsumerInfo>(&jet.connection, &create, &body, deadline).await {
        Ok(_) => Ok(()),
        Err(failure @ (Failure::Nobody | Failure::Silent)) => Err(failure),
        // Somebody else made it meanwhile, with another beginning.
        Err(failure) => known(jet, name, deadline).await.map_err(|_| failure),
    }
}

/// Whether a consumer of this name is there.
async fn known(jet: &Jet, name: &str, deadline: Deadline) -> Result<(), Failure> {
    let info = format!("CONSUMER.INFO.{}.{name}", jet.layout.events);
    let info = api::request::<ConsumerInfo>(&jet.connection, &info, &Value::Null, deadline);
    info.await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_that_jetstream_knows() {
        assert_eq!(rfc3339(1_767_225_600_001), "2026-01-01T00:00:00.001Z");
        assert!(
            rfc3339(u64::MAX).starts_with("2262-"),
            "{}",
            rfc3339(u64::MAX)
        );
    }
}
