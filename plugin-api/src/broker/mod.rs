//! The `broker` module: fire-and-forget messages by topic, to whoever subscribes at the time.

mod handle;
mod mailbox;
mod types;

pub use handle::BrokerHandle;
pub(crate) use handle::DynBroker;
pub use mailbox::{Losses, MAILBOX_BYTES, MAILBOX_MESSAGES, Mailbox, MailboxSender};
pub use types::{Delivery, Message, check_queue, check_topic};

use crate::{BoxStream, Call, Result};

/// Messages by topic, at most once each, to those who subscribe at the time. Nothing is kept for
/// later, and nobody is told whether a message was received.
///
/// A topic is any text of up to [`Message::MAX_NAME`] bytes, compared byte for byte: nothing in it
/// is a wildcard, whatever the backend thinks of it. An empty topic and one that is longer are
/// `invalid`, and so is a queue like that.
pub trait Broker: Send + Sync + 'static {
    /// Hands a message to every subscriber of `topic` that has no queue, and to one subscriber of
    /// each queue. A topic without subscribers is no error: the message is gone.
    ///
    /// Messages that one caller publishes one after the other, each when the one before has been
    /// answered, reach a subscriber without a queue in that order. There is no other promise of
    /// order. A message of more than [`Message::MAX_BYTES`] is `invalid`.
    ///
    /// Slow subscribers hold up nobody: see [`Broker::subscribe`].
    fn publish(
        &self,
        call: &Call,
        topic: &str,
        message: Message,
    ) -> impl Future<Output = Result<()>> + Send;

    /// The messages that are published to `topic` from the moment the call returns, header and
    /// body as they were published, until the stream is dropped.
    ///
    /// Subscribers that name the same `queue` for the same topic share its messages: each goes to
    /// one of them, and all of them are used. What a member had not read when it was dropped is
    /// lost; what is published afterwards goes to the others.
    ///
    /// At least [`Message::MIN_WAITING`] messages wait for a subscriber that does not read, and no
    /// more than [`Message::MAX_WAITING`]. What comes beyond the module's limit is lost to that subscriber alone: it is told how many with
    /// the next message that it gets ([`Delivery::lost`]), and the log says so. [`Mailbox`] does
    /// all of that. The stream ends with an error, `unavailable` if subscribing again may help,
    /// and not because of a deadline of `call`.
    fn subscribe(
        &self,
        call: &Call,
        topic: &str,
        queue: Option<&str>,
    ) -> impl Future<Output = Result<BoxStream<Result<Delivery>>>> + Send;

    /// Whether the broker could serve a call now. The default says yes.
    fn health(&self, _call: &Call) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// Ends every subscription and lets go of what is held. Called once, when no call is left.
    fn shutdown(&self, _call: &Call) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }
}
