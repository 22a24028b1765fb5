//! What is published and what is delivered.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{Error, Result};

/// A message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Facts about the body, such as `Content-Type`. Names and values are any text, and names that
    /// differ in case differ.
    pub header: BTreeMap<String, String>,
    /// The body; may be empty.
    pub body: Bytes,
}

impl Message {
    /// The most bytes of a message: names and values of its header and its body together. It
    /// leaves room for a backend's own framing below a limit of 1 MiB.
    pub const MAX_BYTES: usize = 1_000_000;

    /// The most bytes of the name of a topic or of a queue.
    pub const MAX_NAME: usize = 512;

    /// The least number of messages, as long as they are small (32 KiB together), that wait for a
    /// subscriber before one is lost.
    pub const MIN_WAITING: usize = 128;

    /// The most messages that may wait for a subscriber, however small they are.
    pub const MAX_WAITING: usize = 10_000;

    /// A message without a header.
    pub fn new(body: impl Into<Bytes>) -> Self {
        Self {
            header: BTreeMap::new(),
            body: body.into(),
        }
    }

    /// The same message, with one more entry in its header.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.header.insert(name.into(), value.into());
        self
    }

    /// How large the message is: names and values of its header and its body, in bytes.
    pub fn size(&self) -> usize {
        self.header
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum::<usize>()
            + self.body.len()
    }

    /// Fails with `invalid` if the message is larger than [`Message::MAX_BYTES`].
    ///
    /// # Errors
    /// That one.
    pub fn check(&self) -> Result<()> {
        match self.size() {
            0..=Self::MAX_BYTES => Ok(()),
            size => Err(Error::invalid(format!(
                "the message has {size} bytes with its header, more than the {} that a broker \
                 carries; put the data into the store or a blob and publish its key",
                Self::MAX_BYTES
            ))),
        }
    }
}

/// A message as a subscriber gets it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// The message.
    pub message: Message,
    /// How many messages this subscriber has lost, being too slow, since the delivery before.
    pub lost: u64,
}

/// Fails with `invalid` if `topic` is empty or longer than [`Message::MAX_NAME`].
///
/// # Errors
/// That one.
pub fn check_topic(topic: &str) -> Result<()> {
    check_name("topic", topic)
}

/// Fails with `invalid` if `queue` is named by a text that is empty or longer than
/// [`Message::MAX_NAME`].
///
/// # Errors
/// That one.
pub fn check_queue(queue: Option<&str>) -> Result<()> {
    queue.map_or(Ok(()), |queue| check_name("queue", queue))
}

fn check_name(what: &str, name: &str) -> Result<()> {
    match name.len() {
        0 => Err(Error::invalid(format!("the {what} is empty; name one"))),
        1..=Message::MAX_NAME => Ok(()),
        length => Err(Error::invalid(format!(
            "the name of the {what} has {length} bytes, more than the {} that a broker takes",
            Message::MAX_NAME
        ))),
    }
}
