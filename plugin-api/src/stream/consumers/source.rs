//! Where a group has its events from.

use std::sync::Arc;

use super::{Batch, EventLog};
use crate::{Result, stream::Event};

/// Where one group has its events from: a place in a log, or a queue that others take from too.
///
/// One that gets events while nobody asks for them wakes those who wait with
/// [`Group::wake`](super::Group::wake).
pub trait Source: Send + Sync + 'static {
    /// Events that no member had yet: at most `max`, and none if there are none now. Those of a
    /// log are at `from` or above.
    fn read(&self, from: u64, max: usize) -> impl Future<Output = Result<Batch>> + Send;

    /// The event at a position once more; `None` if it is kept no more.
    fn read_again(&self, position: u64) -> impl Future<Output = Result<Option<Event>>> + Send;

    /// How often the event at a position was delivered before this group had it: by a process that
    /// had it earlier. The default says never.
    fn attempts(&self, _position: u64) -> u32 {
        0
    }

    /// The event at a position is not delivered any more: somebody dealt with it, it was given up,
    /// or it is gone. The default does nothing.
    fn done(&self, _position: u64) {}
}

/// A topic of a log, as every group reads it for itself.
pub(super) struct OfLog<L> {
    pub(super) log: Arc<L>,
    pub(super) topic: String,
}

impl<L: EventLog> Source for OfLog<L> {
    async fn read(&self, from: u64, max: usize) -> Result<Batch> {
        self.log.read(&self.topic, from, max).await
    }

    async fn read_again(&self, position: u64) -> Result<Option<Event>> {
        let batch = self.log.read(&self.topic, position, 1).await?;
        let event = batch.events.into_iter().next();
        Ok(event.filter(|event| event.position == position))
    }
}
