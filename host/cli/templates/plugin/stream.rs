//! Events in one list, to begin from.

use std::{sync::Arc, sync::Mutex, sync::MutexGuard, sync::PoisonError, time::SystemTime};

use micro_plugin_api::{
    prelude::*,
    stream::{Batch, ConsumeOptions, Consumers, Delivery, Event, EventLog, HistoryQuery},
    stream::{NewEvent, Settlement},
};

/// All events, the oldest first; the first one has position 1. None is ever dropped.
#[derive(Default)]
struct Log(Mutex<Vec<Event>>);

impl Log {
    fn events(&self) -> MutexGuard<'_, Vec<Event>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EventLog for Log {
    async fn read(&self, topic: &str, from: u64, max: usize) -> Result<Batch> {
        let all = self.events();
        let rest = all
            .iter()
            .filter(|it| it.topic == topic && it.position >= from);
        let mut bytes = 0;
        let room = rest.take(max).take_while(|event| {
            let fits = bytes < 1 << 20;
            bytes += event.payload.len();
            fits
        });
        let events: Vec<_> = room.cloned().collect();
        let next = events.last().map_or(from, |event| event.position + 1);
        Ok(Batch { events, next })
    }

    async fn seek(&self, topic: &str, time: u64, skip: u64) -> Result<u64> {
        let all = self.events();
        let mut later = all
            .iter()
            .filter(|it| it.topic == topic && it.ingested >= time);
        let event = later.nth(skip.try_into().unwrap_or(usize::MAX));
        Ok(event.map_or(all.len() as u64 + 1, |event| event.position))
    }

    fn end(&self) -> u64 {
        self.events().len() as u64 + 1
    }
}

struct Backend {
    log: Arc<Log>,
    consumers: Consumers<Log>,
}

impl Backend {
    fn open(_: NoSettings, _: Host) -> Result<Self> {
        let log = Arc::<Log>::default();
        let consumers = Consumers::new(log.clone());
        Ok(Self { log, consumers })
    }
}

fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

impl Stream for Backend {
    async fn publish(&self, _: &Call, events: &[NewEvent]) -> Result<Vec<String>> {
        NewEvent::validate_batch(events)?;
        let mut ids = Vec::with_capacity(events.len());
        {
            let mut all = self.log.events();
            // The clock may go back; what stands in the list must not.
            let ingested = all
                .last()
                .map_or(0, |last| last.ingested)
                .max(unix_millis());
            for event in events {
                let id = uuid::Uuid::now_v7().to_string();
                let position = all.len() as u64 + 1;
                all.push(Event {
                    id: id.clone(),
                    topic: event.topic.clone(),
                    payload: event.payload.clone(),
                    metadata: event.metadata.clone(),
                    timestamp: event.timestamp,
                    ingested,
                    position,
                });
                ids.push(id);
            }
        }
        for event in events {
            self.consumers.published(&event.topic);
        }
        Ok(ids)
    }

    async fn consume(
        &self,
        _: &Call,
        topic: &str,
        options: &ConsumeOptions,
    ) -> Result<BoxStream<Result<Delivery>>> {
        self.consumers.consume(topic, options).await
    }

    async fn settle(&self, _: &Call, settlements: &[Settlement]) -> Result<()> {
        self.consumers.settle(settlements)
    }

    async fn history(
        &self,
        _: &Call,
        topic: &str,
        query: &HistoryQuery,
    ) -> Result<BoxStream<Result<Event>>> {
        self.consumers.history(topic, query).await
    }
}

export_plugin! { name: "diary", stream: Backend::open, run = inline }

#[cfg(test)]
#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_its_contract() {
    let open = async || Backend::open(NoSettings {}, Host::new("", "", "")).map(StreamHandle::new);
    let suite = micro_plugin_conformance::stream::suite().of(&PLUGIN.capabilities());
    suite.run(open).await.assert_passed();
}
