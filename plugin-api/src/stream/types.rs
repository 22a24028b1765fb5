//! The types of the `stream` module.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;

/// An event to publish.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewEvent {
    /// Where it goes: any text of 1 to [`NewEvent::MAX_TOPIC`] bytes.
    pub topic: String,
    /// What it says; at most [`NewEvent::MAX_PAYLOAD`] bytes.
    pub payload: Bytes,
    /// What its publisher says about it; keys and values are at most
    /// [`NewEvent::MAX_METADATA`] bytes together.
    pub metadata: BTreeMap<String, String>,
    /// When it happened, as its publisher says: milliseconds since the Unix epoch. Carried along,
    /// and of no other meaning.
    pub timestamp: u64,
}

impl NewEvent {
    /// The longest topic, in bytes.
    pub const MAX_TOPIC: usize = 512;
    /// The largest payload, in bytes: what every backend can be made to carry.
    pub const MAX_PAYLOAD: usize = 1 << 20;
    /// The most bytes of all keys and values of the metadata.
    pub const MAX_METADATA: usize = 64 << 10;
    /// The most events of one publish.
    pub const MAX_BATCH: usize = 1_000;
    /// The most bytes of topics, payloads and metadata of one publish.
    pub const MAX_BATCH_BYTES: usize = 16 << 20;

    /// An event that says `payload` in `topic`, without metadata and of time zero.
    pub fn new(topic: impl Into<String>, payload: impl Into<Bytes>) -> Self {
        Self {
            topic: topic.into(),
            payload: payload.into(),
            ..Self::default()
        }
    }
}

/// An event as it was taken in. It is the same wherever it shows: to every consumer, at every
/// redelivery, in the history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Its id: the text of a UUIDv7, given by the backend when it took the event in.
    pub id: String,
    /// The topic.
    pub topic: String,
    /// What it says.
    pub payload: Bytes,
    /// What its publisher says about it.
    pub metadata: BTreeMap<String, String>,
    /// When it happened, as its publisher says: milliseconds since the Unix epoch.
    pub timestamp: u64,
    /// When the backend took it in: milliseconds since the Unix epoch. Never smaller than that of
    /// an event before it in its topic.
    pub ingested: u64,
    /// Its place among the events of its topic: larger than that of every event before it. Not
    /// consecutive.
    pub position: u64,
}

/// Where a consumer begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// With the first event that is published after the call returned.
    #[default]
    Now,
    /// With the first event that is kept and was taken in at or after this moment: milliseconds
    /// since the Unix epoch. Zero is the first event that is kept.
    Time(u64),
}

/// Who says that an event was dealt with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acks {
    /// Nobody: it counts as dealt with once it was handed out, at most once.
    #[default]
    Automatic,
    /// The consumer, through [`Stream::settle`](super::Stream::settle). What it does not settle
    /// is delivered again.
    Manual {
        /// How long the consumer has for each delivery; more than zero.
        wait: Duration,
    },
}

/// How to consume a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumeOptions {
    /// The group that shares the topic's events among its members: 1 to
    /// [`ConsumeOptions::MAX_GROUP`] bytes. Without one, this consumer gets all events for itself.
    pub group: Option<String>,
    /// Where to begin. A group that exists already goes on where it is, and ignores this.
    pub start: Start,
    /// Who acknowledges.
    pub acks: Acks,
    /// With manual acks, how often an event that was not acknowledged is delivered again at most;
    /// `None` for as often as it takes. Zero delivers each event once.
    pub retry_limit: Option<u32>,
    /// With manual acks, how many events this consumer may have that are not settled yet: when
    /// there are so many, it gets no more. At least 1, at most [`ConsumeOptions::MAX_IN_FLIGHT`].
    pub in_flight: u32,
}

impl ConsumeOptions {
    /// The longest name of a group, in bytes.
    pub const MAX_GROUP: usize = 256;
    /// The largest [`ConsumeOptions::in_flight`].
    pub const MAX_IN_FLIGHT: u32 = 1_000;
}

impl Default for ConsumeOptions {
    /// Every event from now on, acknowledged automatically; 64 in flight.
    fn default() -> Self {
        Self {
            group: None,
            start: Start::Now,
            acks: Acks::Automatic,
            retry_limit: None,
            in_flight: 64,
        }
    }
}

/// What a delivery is settled with: opaque, and of meaning to the instance that gave it alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Token(pub String);

/// An event that is handed to a consumer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// The event.
    pub event: Event,
    /// How often it has been delivered to this consumer or group: 1 at first.
    pub attempt: u32,
    /// What to settle it with; empty where acks are automatic.
    pub token: Token,
}

/// What became of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// Which delivery.
    pub token: Token,
    /// Whether it was dealt with. If not, it is delivered again, soon, unless the retry limit is
    /// reached.
    pub acknowledged: bool,
}

impl Settlement {
    /// The event was dealt with.
    pub fn ack(token: Token) -> Self {
        Self {
            token,
            acknowledged: true,
        }
    }

    /// The event was not dealt with.
    pub fn nack(token: Token) -> Self {
        Self {
            token,
            acknowledged: false,
        }
    }
}

/// Which events of a topic's past to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Those alone that were taken in at or after this moment: milliseconds since the Unix epoch.
    /// Zero for all that are kept.
    pub from: u64,
    /// So many of these are left out, the oldest first.
    pub offset: u64,
    /// At most so many; zero for all.
    pub limit: u64,
}
