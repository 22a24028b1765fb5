//! Who consumes: what a backend needs that keeps a log of its own and sees all its consumers. It
//! gives the log; groups, acknowledgements, redelivery and their clocks are here.

mod group;
mod history;
mod member;

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use self::{group::Group, member::Member};
use super::{ConsumeOptions, Delivery, Event, HistoryQuery, Settlement, Start, rules};
use crate::{BoxStream, Error, Result};

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
    state: Arc<Mutex<State>>,
    changes: Arc<AtomicU64>,
    /// The number of the next member: from a random one on, so that the tokens of an instance mean
    /// nothing to the next.
    number: AtomicU64,
}

#[derive(Default)]
struct State {
    topics: HashMap<String, Topic>,
    members: HashMap<u64, Arc<Group>>,
}

#[derive(Default)]
struct Topic {
    /// By name; those without one are each a consumer's own.
    groups: Vec<Arc<Group>>,
}

impl Topic {
    fn named(&self, name: &str) -> Option<Arc<Group>> {
        let mut groups = self.groups.iter();
        groups
            .find(|group| group.name() == Some(name))
            .map(Arc::clone)
    }
}

impl<L: EventLog> Consumers<L> {
    /// Nobody yet.
    pub fn new(log: Arc<L>) -> Self {
        let random = RandomState::new().build_hasher().finish();
        Self {
            log,
            state: Arc::default(),
            changes: Arc::default(),
            number: AtomicU64::new(random),
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
        let existing = options
            .group
            .as_deref()
            .and_then(|name| lock(&self.state).topics.get(topic)?.named(name));
        let start = match (existing, options.start) {
            (Some(_), _) => None,
            (None, Start::Now) => Some(self.log.end()),
            (None, Start::Time(time)) => Some(self.log.seek(topic, time, 0).await?),
        };
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let group = {
            let mut state = lock(&self.state);
            let of_topic = state.topics.entry(topic.to_owned()).or_default();
            // Somebody else may have made it meanwhile, or it was forgotten.
            let existing = options
                .group
                .as_deref()
                .and_then(|name| of_topic.named(name));
            let group = existing.unwrap_or_else(|| {
                let next = start.unwrap_or_else(|| self.log.end());
                let name = options.group.clone();
                let group = Group::new(topic, name, next, self.changes.clone());
                of_topic.groups.push(group.clone());
                group
            });
            group.join(number, options);
            state.members.insert(number, group.clone());
            group
        };
        Ok(Member::new(number, group, options, self.log.clone(), self.state.clone()).stream())
    }

    /// What [`Stream::settle`](super::Stream::settle) does.
    ///
    /// # Errors
    /// `invalid` for a token that is none of ours.
    pub fn settle(&self, settlements: &[Settlement]) -> Result<()> {
        for settlement in settlements {
            let text = &settlement.token.0;
            let (member, position, attempt) = member::parse(text).ok_or_else(|| {
                Error::invalid(format!("{text:?} is no delivery that can be settled"))
            })?;
            let group = lock(&self.state).members.get(&member).cloned();
            if let Some(group) = group {
                group.settle(member, position, attempt, settlement.acknowledged);
            }
        }
        Ok(())
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
        let state = lock(&self.state);
        for group in state
            .topics
            .get(topic)
            .into_iter()
            .flat_map(|it| &it.groups)
        {
            group.wake();
        }
    }

    /// A number that grows with everything that changes [`Self::groups`].
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Every group with a name as it is now, for the backend to keep.
    pub fn groups(&self) -> Vec<GroupState> {
        let state = lock(&self.state);
        let groups = state.topics.values().flat_map(|topic| &topic.groups);
        groups.filter_map(|group| group.state()).collect()
    }

    /// Makes the groups that the backend kept. Before anybody consumes.
    pub fn restore(&self, groups: impl IntoIterator<Item = GroupState>) {
        let mut state = lock(&self.state);
        for kept in groups {
            let group = Group::restored(&kept, self.changes.clone());
            state
                .topics
                .entry(kept.topic)
                .or_default()
                .groups
                .push(group);
        }
    }

    /// Forgets groups whose last member left before this moment, in Unix milliseconds.
    pub fn forget(&self, before: u64) {
        let mut state = lock(&self.state);
        state.topics.retain(|_, topic| {
            topic.groups.retain(|group| {
                let keep = !group.is_abandoned(before);
                if !keep {
                    self.changes.fetch_add(1, Ordering::Release);
                }
                keep
            });
            !topic.groups.is_empty()
        });
    }
}

impl State {
    /// Lets a member go, and with it a group that was its own.
    fn leave(&mut self, member: u64, group: &Arc<Group>) {
        self.members.remove(&member);
        group.leave(member);
        if group.name().is_some() {
            return;
        }
        if let Some(topic) = self.topics.get_mut(group.topic()) {
            topic.groups.retain(|other| !Arc::ptr_eq(other, group));
            if topic.groups.is_empty() {
                self.topics.remove(group.topic());
            }
        }
    }
}

/// A panic while one of these is held leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis().try_into().unwrap_or(u64::MAX))
}
