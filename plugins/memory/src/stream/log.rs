//! The events themselves, in the order in which they came, within the bounds of the settings.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use micro_plugin_api::{
    Result,
    stream::{Batch, Event, EventLog, NewEvent},
};
use uuid::Uuid;

use crate::lock::lock;

/// What an event costs beside its texts and payload, roughly.
const OVERHEAD: u64 = 200;
/// After so many bytes a read ends.
const READ_BYTES: usize = 1 << 20;

pub(super) struct Log {
    inner: Mutex<Inner>,
    max_age_millis: u64,
    max_bytes: u64,
}

#[derive(Default)]
struct Inner {
    topics: HashMap<Arc<str>, VecDeque<Event>>,
    /// The topic, size and time of every event, the oldest first.
    all: VecDeque<(Arc<str>, u64, u64)>,
    bytes: u64,
    /// The position of the last event.
    last: u64,
    /// When it was taken in.
    ingested: u64,
}

impl Log {
    pub(super) fn new(max_age_millis: u64, max_bytes: u64) -> Self {
        Self {
            inner: Mutex::default(),
            max_age_millis,
            max_bytes,
        }
    }

    /// Takes in events that were checked; the id of each.
    pub(super) fn append(&self, events: &[NewEvent]) -> Vec<String> {
        let mut inner = lock(&self.inner);
        // The clock may go back; what stands in the log must not.
        inner.ingested = inner.ingested.max(unix_millis());
        let ids = events.iter().map(|event| inner.push(event)).collect();
        inner.drop_old(self.max_age_millis, self.max_bytes);
        ids
    }

    fn current<T>(&self, look: impl FnOnce(&Inner) -> T) -> T {
        let mut inner = lock(&self.inner);
        inner.drop_old(self.max_age_millis, self.max_bytes);
        look(&inner)
    }
}

impl Inner {
    fn push(&mut self, event: &NewEvent) -> String {
        self.last += 1;
        let id = Uuid::now_v7().to_string();
        let topic = match self.topics.get_key_value(event.topic.as_str()) {
            Some((topic, _)) => topic.clone(),
            None => Arc::from(event.topic.as_str()),
        };
        let size = OVERHEAD + event.size() as u64;
        self.bytes += size;
        self.all.push_back((topic.clone(), size, self.ingested));
        self.topics.entry(topic).or_default().push_back(Event {
            id: id.clone(),
            topic: event.topic.clone(),
            payload: event.payload.clone(),
            metadata: event.metadata.clone(),
            timestamp: event.timestamp,
            ingested: self.ingested,
            position: self.last,
        });
        id
    }

    fn drop_old(&mut self, max_age_millis: u64, max_bytes: u64) {
        let oldest = unix_millis().saturating_sub(max_age_millis);
        while let Some((topic, size, ingested)) = self.all.front() {
            if self.bytes <= max_bytes && *ingested >= oldest {
                return;
            }
            self.bytes -= size;
            if let Some(events) = self.topics.get_mut(topic) {
                events.pop_front();
                if events.is_empty() {
                    self.topics.remove(topic);
                }
            }
            self.all.pop_front();
        }
    }
}

impl EventLog for Log {
    async fn read(&self, topic: &str, from: u64, max: usize) -> Result<Batch> {
        Ok(self.current(|inner| {
            let (mut events, mut bytes) = (Vec::new(), 0);
            if let Some(kept) = inner.topics.get(topic) {
                let first = kept.partition_point(|event| event.position < from);
                for event in kept.range(first..).take(max) {
                    events.push(event.clone());
                    bytes += event.payload.len();
                    if bytes >= READ_BYTES {
                        break;
                    }
                }
            }
            let next = events.last().map_or(from, |event| event.position + 1);
            Batch { events, next }
        }))
    }

    async fn seek(&self, topic: &str, time: u64, skip: u64) -> Result<u64> {
        Ok(self.current(|inner| {
            let event = inner.topics.get(topic).and_then(|kept| {
                let first = kept.partition_point(|event| event.ingested < time);
                kept.get(first.checked_add(skip.try_into().ok()?)?)
            });
            event.map_or(inner.last + 1, |event| event.position)
        }))
    }

    fn end(&self) -> u64 {
        lock(&self.inner).last + 1
    }
}

pub(super) fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis().try_into().unwrap_or(u64::MAX))
}
