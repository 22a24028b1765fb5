//! Who consumes. Groups, acknowledgements, redelivery and their clocks are here. A backend that
//! keeps a log of its own and sees all its consumers gives the log ([`Consumers`]); one whose events
//! are handed out elsewhere gives each group a [`Source`] of them ([`Groups`]).

mod group;
mod groups;
mod history;
mod member;
mod source;
#[cfg(test)]
mod tests;

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

pub use self::{group::Group, groups::Groups, source::Source};

use self::source::OfLog;
use super::{ConsumeOptions, Delivery, Event, HistoryQuery, Settlement, Start, rules};
use crate::{BoxStream, Result};

/// Some events of a topic, and where to go on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The events, the oldest first.
    pub events: Vec<Event>,
    /// The position to read from next: above those of all events here, and of those that were left
    /// out because they are damaged. Where the read began, if there is nothing to read yet.
    pub next: u64,
}

/// A log of events, as [`Consumers`] reads it.
pub trait EventLog: Send + Sync + 'static {
    /// Events of `topic` at `from` or above: at most `max`, and no more once they have a megabyte.
    /// None only where there is none.
    fn read(
        &self,
        topic: &str,
        from: u64,
        max: usize,
    ) -> impl Future<Output = Result<Batch>> + Send;

    /// The position of the event of `topic` that comes `skip` after the first one that was taken
    /// in at or after `time` (Unix milliseconds); [`Self::end`] if there is none.
    fn seek(&self, topic: &str, time: u64, skip: u64) -> impl Future<Output = Result<u64>> + Send;

    /// A position above those of all events that can be read now, and no higher than those of
    /// events to come.
    fn end(&self) -> u64;
}

/// What outlives a process of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct GroupState {
    /// The topic.
    pub topic: String,
    /// The group's name.
    pub group: String,
    /// The position of the first event that nobody had yet.
    pub next: u64,
    /// Positions below that are not settled, with how often each was delivered.
    pub pending: Vec<(u64, u32)>,
    /// When the last member left, in Unix milliseconds; `None` while there are members.
    pub left: Option<u64>,
}

/// Everybody who consumes from a log.
pub struct Consumers<L> {
    log: Arc<L>,
    groups: Groups<OfLog<L>>,
    changes: Arc<AtomicU64>,
}

impl<L: EventLog> Consumers<L> {
    /// Nobody yet.
    pub fn new(log: Arc<L>) -> Self {
        Self {
            log,
            groups: Groups::new(),
            changes: Arc::default(),
        }
    }

    fn source(&self, topic: &str) -> OfLog<L> {
        OfLog {
            log: self.log.clone(),
            topic: topic.to_owned(),
        }
    }

    /// What [`Stream::consume`](super::Stream::consume) answers.
    ///
    /// # Errors
    /// `invalid` for options that make no sense; what the log fails with.
    pub async fn consume(
        &self,
        topic: &str,
        options: &ConsumeOptions,
    ) -> Result<BoxStream<Result<Delivery>>> {
        options.validate(topic)?;
        let name = options.group.clone();
        let existing = name
            .as_deref()
            .and_then(|name| self.groups.find(topic, name));
        let next = match (&existing, options.start) {
            // If it is forgotten meanwhile, it begins anew.
            (Some(_), _) | (None, Start::Now) => self.log.end(),
            (None, Start::Time(time)) => self.log.seek(topic, time, 0).await?,
        };
        let changes = self.changes.clone();
        let group = Group::counted(topic, name, next, self.source(topic), changes);
        let (group, deliveries) = self.groups.join(group, options);
        self.changes
            .fetch_add(u64::from(group.name().is_some()), Ordering::Release);
        Ok(deliveries)
    }

    /// What [`Stream::settle`](super::Stream::settle) does.
    ///
    /// # Errors
    /// `invalid` for a token that is none of ours.
    pub fn settle(&self, settlements: &[Settlement]) -> Result<()> {
        self.groups.settle(settlements)
    }

    /// What [`Stream::history`](super::Stream::history) answers.
    ///
    /// # Errors
    /// `invalid` for a topic that cannot be; what the log fails with.
    pub async fn history(
        &self,
        topic: &str,
        query: &HistoryQuery,
    ) -> Result<BoxStream<Result<Event>>> {
        rules::topic(topic)?;
        let end = self.log.end();
        let from = self.log.seek(topic, query.from, query.offset).await?;
        Ok(history::read(
            self.log.clone(),
            topic.to_owned(),
            from..end,
            query.limit,
        ))
    }

    /// Tells those who wait for it that `topic` has new events, which can be read by now.
    pub fn published(&self, topic: &str) {
        for group in self.groups.of(topic) {
            group.wake();
        }
    }

    /// A number that grows with everything that changes [`Self::groups`].
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Every group with a name as it is now, for the backend to keep.
    pub fn groups(&self) -> Vec<GroupState> {
        let groups = self.groups.all();
        groups.iter().filter_map(|group| group.state()).collect()
    }

    /// Makes the groups that the backend kept. Before anybody consumes.
    pub fn restore(&self, groups: impl IntoIterator<Item = GroupState>) {
        for kept in groups {
            let source = self.source(&kept.topic);
            self.groups
                .add(Group::restored(&kept, source, self.changes.clone()));
        }
    }

    /// Forgets groups whose last member left before this moment, in Unix milliseconds.
    pub fn forget(&self, before: u64) {
        let forgotten = self.groups.remove(|group| group.is_abandoned(before));
        self.changes.fetch_add(forgotten as u64, Ordering::Release);
    }
}

/// A panic while one of these is held leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
