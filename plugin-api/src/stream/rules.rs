//! What every stream has to check alike, for the author of one.

use super::{Acks, ConsumeOptions, NewEvent};
use crate::{Error, Result};

/// Checks a topic's name.
pub(super) fn topic(topic: &str) -> Result<()> {
    match topic.len() {
        0 => Err(Error::invalid("the topic is empty; name one")),
        length if length > NewEvent::MAX_TOPIC => Err(Error::invalid(format!(
            "a topic of {length} bytes; at most {} are allowed",
            NewEvent::MAX_TOPIC
        ))),
        _ => Ok(()),
    }
}

impl NewEvent {
    /// How many bytes of topic, payload and metadata it has.
    pub fn size(&self) -> usize {
        self.topic.len() + self.payload.len() + self.metadata_size()
    }

    fn metadata_size(&self) -> usize {
        let pairs = self.metadata.iter();
        pairs.map(|(key, value)| key.len() + value.len()).sum()
    }

    /// Checks topic and sizes of one event.
    ///
    /// # Errors
    /// `invalid`, saying what is wrong.
    pub fn validate(&self) -> Result<()> {
        topic(&self.topic)?;
        for (what, size, limit) in [
            ("a payload", self.payload.len(), Self::MAX_PAYLOAD),
            ("metadata", self.metadata_size(), Self::MAX_METADATA),
        ] {
            if size > limit {
                return Err(Error::invalid(format!(
                    "an event for topic {:?} has {what} of {size} bytes; at most {limit} are \
                     allowed: keep large values in the blob store and publish their key",
                    self.topic
                )));
            }
        }
        Ok(())
    }

    /// Checks the events of one publish, and that they are not too many for one.
    ///
    /// # Errors
    /// `invalid`, saying what is wrong.
    pub fn validate_batch(events: &[Self]) -> Result<()> {
        if events.len() > Self::MAX_BATCH {
            return Err(Error::invalid(format!(
                "a batch of {} events; at most {} go into one",
                events.len(),
                Self::MAX_BATCH
            )));
        }
        events.iter().try_for_each(Self::validate)?;
        let bytes: usize = events.iter().map(Self::size).sum();
        if bytes > Self::MAX_BATCH_BYTES {
            return Err(Error::invalid(format!(
                "a batch of {bytes} bytes; at most {} go into one",
                Self::MAX_BATCH_BYTES
            )));
        }
        Ok(())
    }
}

impl ConsumeOptions {
    /// Checks the options, and the topic that they are for.
    ///
    /// # Errors
    /// `invalid`, saying what is wrong.
    pub fn validate(&self, of_topic: &str) -> Result<()> {
        topic(of_topic)?;
        match self.group.as_deref().map(str::len) {
            Some(0) => {
                return Err(Error::invalid(
                    "the group's name is empty; name one, or consume without a group",
                ));
            }
            Some(length) if length > Self::MAX_GROUP => {
                return Err(Error::invalid(format!(
                    "a group's name of {length} bytes; at most {} are allowed",
                    Self::MAX_GROUP
                )));
            }
            _ => {}
        }
        if matches!(self.acks, Acks::Manual { wait } if wait.is_zero()) {
            return Err(Error::invalid(
                "an ack wait of zero; a consumer that acknowledges needs time to do so",
            ));
        }
        if !(1..=Self::MAX_IN_FLIGHT).contains(&self.in_flight) {
            return Err(Error::invalid(format!(
                "{} events in flight; a consumer may have 1 to {}",
                self.in_flight,
                Self::MAX_IN_FLIGHT
            )));
        }
        Ok(())
    }
}
