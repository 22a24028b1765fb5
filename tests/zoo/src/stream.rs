//! The zoo's events, in memory; with too much of them, topics that never end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::stream;
use micro_plugin_api::{
    prelude::*,
    stream::{
        Batch, ConsumeOptions, Consumers, Delivery, Event, EventLog, HistoryQuery, NewEvent,
        Settlement, Token,
    },
};

use crate::{Zoo, excess::Excess};

/// Every event of an instance, the oldest first.
#[derive(Default)]
pub(crate) struct Log(Mutex<Vec<Event>>);

impl Log {
    fn events(&self) -> MutexGuard<'_, Vec<Event>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append(&self, event: &NewEvent) -> String {
        let mut events = self.events();
        let position = events.len() as u64;
        events.push(Event {
            id: position.to_string(),
            topic: event.topic.clone(),
            payload: event.payload.clone(),
            metadata: event.metadata.clone(),
            timestamp: event.timestamp,
            ingested: position,
            position,
        });
        position.to_string()
    }
}

impl EventLog for Log {
    async fn read(&self, topic: &str, from: u64, max: usize) -> Result<Batch> {
        let events = self.events();
        let of_topic = events.iter().filter(|event| event.topic == topic);
        let events: Vec<_> = of_topic
            .filter(|event| event.position >= from)
            .take(max)
            .cloned()
            .collect();
        let next = events.last().map_or(from, |event| event.position + 1);
        Ok(Batch { events, next })
    }

    async fn seek(&self, topic: &str, _: u64, skip: u64) -> Result<u64> {
        let events = self.events();
        let mut of_topic = events.iter().filter(|event| event.topic == topic);
        let found = of_topic.nth(skip.try_into().unwrap_or(usize::MAX));
        Ok(found.map_or(events.len() as u64, |event| event.position))
    }

    fn end(&self) -> u64 {
        self.events().len() as u64
    }
}

/// Events, and who consumes them.
pub(crate) struct Diary {
    log: Arc<Log>,
    consumers: Consumers<Log>,
}

impl Default for Diary {
    fn default() -> Self {
        let log = Arc::new(Log::default());
        Self {
            consumers: Consumers::new(log.clone()),
            log,
        }
    }
}

/// The events of a topic that has no end.
fn endless(excess: Excess, topic: &str) -> impl Iterator<Item = Event> + Send + 'static {
    let topic = topic.to_owned();
    (0..).map(move |at: u64| Event {
        id: at.to_string(),
        topic: topic.clone(),
        payload: excess.item(at),
        position: at,
        ..Event::default()
    })
}

impl Stream for Zoo {
    async fn publish(&self, _: &Call, events: &[NewEvent]) -> Result<Vec<String>> {
        let ids = events.iter().map(|event| self.diary.log.append(event));
        let ids = ids.collect();
        for event in events {
            self.diary.consumers.published(&event.topic);
        }
        Ok(ids)
    }

    async fn consume(
        &self,
        _: &Call,
        topic: &str,
        options: &ConsumeOptions,
    ) -> Result<BoxStream<Result<Delivery>>> {
        self.act(topic).await?;
        if !self.excess.floods() {
            return self.diary.consumers.consume(topic, options).await;
        }
        let deliveries = endless(self.excess, topic).map(|event| Delivery {
            token: Token(event.id.clone()),
            event,
            attempt: 1,
        });
        Ok(Box::pin(stream::iter(deliveries.map(Ok))))
    }

    async fn settle(&self, _: &Call, settlements: &[Settlement]) -> Result<()> {
        match self.excess.floods() {
            true => Ok(()),
            false => self.diary.consumers.settle(settlements),
        }
    }

    async fn history(
        &self,
        _: &Call,
        topic: &str,
        query: &HistoryQuery,
    ) -> Result<BoxStream<Result<Event>>> {
        self.act(topic).await?;
        if !self.excess.floods() {
            return self.diary.consumers.history(topic, query).await;
        }
        Ok(Box::pin(stream::iter(endless(self.excess, topic).map(Ok))))
    }
}
