//! Events: published to topics, consumed as they come or from any moment of their past, and read
//! again later.
//!
//! ```no_run
#![doc = include_str!("../examples/events.rs")]
//! ```

mod codec;
mod consume;
mod publish;

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use micro_proto::events as proto;
use proto::{ReadRequest, store_client::StoreClient, stream_client::StreamClient};
use serde::de::DeserializeOwned;
use tonic::Request;

pub use self::{
    consume::{ConsumeOptions, Consumer},
    publish::NewEvent,
};
use crate::{Client, Error, ServiceChannel, client::unary, wire::error::CLIENT_ID};

impl Client {
    /// The events of this client's namespace, used on its own account.
    #[must_use]
    pub fn events(&self) -> Events {
        Events {
            channel: self.core("events"),
        }
    }
}

/// The events of a namespace.
#[derive(Clone, Debug)]
pub struct Events {
    channel: ServiceChannel,
}

/// An event, the same wherever it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its id, by which a consumer may know that it saw the event already.
    pub id: String,
    /// The topic.
    pub topic: String,
    /// What it says: JSON, unless its publisher did otherwise.
    pub payload: Bytes,
    /// What its publisher says about it.
    pub metadata: BTreeMap<String, String>,
    /// When it happened, as its publisher says; to the second.
    pub timestamp: SystemTime,
    /// How often it was delivered to this consumer or group, this time included; zero if it was
    /// read from the history.
    pub attempt: u32,
}

impl Event {
    /// The payload as a type of the caller's.
    ///
    /// # Errors
    /// 500 naming what does not fit.
    pub fn unmarshal<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.payload).map_err(|error| {
            let detail = format!("event {} is not what was expected: {error}", self.id);
            Error::internal_server_error(CLIENT_ID, detail)
        })
    }
}

impl From<proto::Event> for Event {
    fn from(event: proto::Event) -> Self {
        let seconds = u64::try_from(event.timestamp).unwrap_or(0);
        Self {
            id: event.id,
            topic: event.topic,
            payload: event.payload,
            metadata: event.metadata.into_iter().collect(),
            timestamp: UNIX_EPOCH + Duration::from_secs(seconds.min(u64::from(u32::MAX) << 6)),
            attempt: event.attempt,
        }
    }
}

/// Which part of a topic's history to read.
#[derive(Clone, Copy, Debug, Default)]
pub struct History {
    limit: u64,
    offset: u64,
}

impl History {
    /// The oldest 250 events that are kept.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// No more than this many.
    #[must_use]
    pub fn limit(mut self, limit: u64) -> Self {
        self.limit = limit;
        self
    }

    /// Without this many of the oldest.
    #[must_use]
    pub fn offset(mut self, offset: u64) -> Self {
        self.offset = offset;
        self
    }
}

impl Events {
    fn stream(&self) -> StreamClient<ServiceChannel> {
        StreamClient::new(self.channel.clone()).max_decoding_message_size(crate::MAX_MESSAGE)
    }

    /// The events of a topic's past, the oldest first.
    ///
    /// # Errors
    /// What the platform answered; 400 if they do not fit into one answer.
    pub async fn read(
        &self,
        topic: impl Into<String>,
        history: History,
    ) -> Result<Vec<Event>, Error> {
        let request = ReadRequest {
            topic: topic.into(),
            limit: history.limit,
            offset: history.offset,
        };
        let mut client =
            StoreClient::new(self.channel.clone()).max_decoding_message_size(crate::MAX_MESSAGE);
        let answer = client.read(unary(Request::new(request))).await?;
        let events = answer.into_inner().events.into_iter();
        Ok(events.map(Event::from).collect())
    }
}
