//! The stream: events by topic, the oldest dropped when they are too old or too many.

mod log;

use std::{collections::BTreeSet, sync::Arc};

use micro_plugin_api::{
    BoxStream, Call, Result, Stream,
    stream::{ConsumeOptions, Consumers, Delivery, Event, HistoryQuery, NewEvent, Settlement},
};

use self::log::{Log, unix_millis};
use crate::Settings;

/// Events in this process's memory; groups too, so that both end with it.
pub struct MemoryStream {
    log: Arc<Log>,
    consumers: Consumers<Log>,
    max_age_millis: u64,
}

impl MemoryStream {
    /// No events yet. They are kept as `settings` say.
    pub fn new(settings: &Settings) -> Self {
        let max_age = settings.events_max_age().as_millis();
        let max_age_millis = max_age.try_into().unwrap_or(u64::MAX);
        let log = Arc::new(Log::new(max_age_millis, settings.events_max_bytes()));
        Self {
            consumers: Consumers::new(log.clone()),
            log,
            max_age_millis,
        }
    }
}

impl Stream for MemoryStream {
    async fn publish(&self, _call: &Call, events: &[NewEvent]) -> Result<Vec<String>> {
        NewEvent::validate_batch(events)?;
        let ids = self.log.append(events);
        let topics: BTreeSet<_> = events.iter().map(|event| &event.topic).collect();
        for topic in topics {
            self.consumers.published(topic);
        }
        Ok(ids)
    }

    async fn consume(
        &self,
        _call: &Call,
        topic: &str,
        options: &ConsumeOptions,
    ) -> Result<BoxStream<Result<Delivery>>> {
        // What a group would go on with is gone by then.
        let before = unix_millis().saturating_sub(self.max_age_millis);
        self.consumers.forget(before);
        self.consumers.consume(topic, options).await
    }

    async fn settle(&self, _call: &Call, settlements: &[Settlement]) -> Result<()> {
        self.consumers.settle(settlements)
    }

    async fn history(
        &self,
        _call: &Call,
        topic: &str,
        query: &HistoryQuery,
    ) -> Result<BoxStream<Result<Event>>> {
        self.consumers.history(topic, query).await
    }
}
