//! Publishing events, one by one or many together.

use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use micro_proto::events::{PublishBatchRequest, PublishRequest};
use serde::Serialize;
use tonic::Request;

use super::Events;
use crate::{Error, client::unary};

/// An event to publish.
#[derive(Clone, Debug)]
pub struct NewEvent {
    topic: String,
    payload: Bytes,
    metadata: BTreeMap<String, String>,
    timestamp: SystemTime,
}

impl NewEvent {
    /// An event of now that says `message`, as JSON.
    ///
    /// # Errors
    /// 400 for what cannot be written as JSON.
    pub fn new(topic: impl Into<String>, message: &impl Serialize) -> Result<Self, Error> {
        let payload = serde_json::to_vec(message).map_err(|error| {
            let detail = format!("the message cannot be written as JSON: {error}");
            Error::bad_request("events.Stream.Publish", detail)
        })?;
        Ok(Self::of_bytes(topic, payload))
    }

    /// An event of now with these bytes.
    pub fn of_bytes(topic: impl Into<String>, payload: impl Into<Bytes>) -> Self {
        Self {
            topic: topic.into(),
            payload: payload.into(),
            metadata: BTreeMap::new(),
            timestamp: SystemTime::now(),
        }
    }

    /// With something said about it.
    #[must_use]
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// Of another time; to the second.
    #[must_use]
    pub fn timestamp(mut self, timestamp: SystemTime) -> Self {
        self.timestamp = timestamp;
        self
    }
}

impl From<NewEvent> for PublishRequest {
    fn from(event: NewEvent) -> Self {
        let since = event.timestamp.duration_since(UNIX_EPOCH);
        Self {
            topic: event.topic,
            payload: event.payload,
            metadata: event.metadata.into_iter().collect(),
            timestamp: since.map_or(0, |since| since.as_secs().try_into().unwrap_or(i64::MAX)),
        }
    }
}

impl Events {
    /// Publishes a message, as JSON, to a topic. It is stored when this returns. Gives the event's
    /// id.
    ///
    /// # Errors
    /// 400 for what cannot be written as JSON or is too large; else what the platform answered. As
    /// every call, it is tried once more when the platform does not answer: an event may come twice.
    pub async fn publish(
        &self,
        topic: impl Into<String>,
        message: &impl Serialize,
    ) -> Result<String, Error> {
        self.publish_event(NewEvent::new(topic, message)?).await
    }

    /// Publishes an event with metadata, or of another time. Gives its id.
    ///
    /// # Errors
    /// As [`Events::publish`].
    pub async fn publish_event(&self, event: NewEvent) -> Result<String, Error> {
        let request = unary(Request::new(event.into()));
        Ok(self.stream().publish(request).await?.into_inner().id)
    }

    /// Publishes all events, or none, in their order: up to 1,000 in one call. Gives their ids.
    ///
    /// # Errors
    /// As [`Events::publish`].
    pub async fn publish_batch(
        &self,
        events: impl IntoIterator<Item = NewEvent>,
    ) -> Result<Vec<String>, Error> {
        let request = PublishBatchRequest {
            events: events.into_iter().map(Into::into).collect(),
        };
        let request = unary(Request::new(request));
        Ok(self.stream().publish_batch(request).await?.into_inner().ids)
    }
}
