//! All groups of an instance, and their members.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{Group, Source, lock, member, member::Member};
use crate::{
    BoxStream, Error, Result,
    stream::{ConsumeOptions, Delivery, Settlement},
};

/// The groups of one instance by topic and name, and who is a member of which. Groups without a
/// name are each a consumer's own. Clones share them.
pub struct Groups<S> {
    state: Arc<Mutex<State<S>>>,
    /// The number of the next member: from a random one on, so that the tokens of an instance mean
    /// nothing to the next.
    number: Arc<AtomicU64>,
}

impl<S> Clone for Groups<S> {
    fn clone(&self) -> Self {
        Self {
            state: self.state.clone(),
            number: self.number.clone(),
        }
    }
}

pub(super) struct State<S> {
    topics: HashMap<String, Vec<Arc<Group<S>>>>,
    members: HashMap<u64, Arc<Group<S>>>,
}

impl<S: Source> Default for Groups<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Source> Groups<S> {
    /// None yet.
    pub fn new() -> Self {
        let state = State {
            topics: HashMap::new(),
            members: HashMap::new(),
        };
        let random = RandomState::new().build_hasher().finish();
        Self {
            state: Arc::new(Mutex::new(state)),
            number: Arc::new(AtomicU64::new(random)),
        }
    }

    /// The group of this name.
    pub fn find(&self, topic: &str, name: &str) -> Option<Arc<Group<S>>> {
        lock(&self.state).named(topic, name)
    }

    /// Lets a consumer join the group that `options` name, if there is one; else `group`, which is
    /// one of them from now on. Its deliveries; dropping them leaves. The group that it is, too.
    pub fn join(
        &self,
        group: Arc<Group<S>>,
        options: &ConsumeOptions,
    ) -> (Arc<Group<S>>, BoxStream<Result<Delivery>>) {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let group = {
            let mut state = lock(&self.state);
            let existing = group
                .name()
                .and_then(|name| state.named(group.topic(), name));
            let group = existing.unwrap_or_else(|| {
                state.add(group.clone());
                group
            });
            group.join(number, options);
            state.members.insert(number, group.clone());
            group
        };
        let member = Member::new(number, group.clone(), options, self.state.clone());
        (group, member.stream())
    }

    /// Settles deliveries of these groups.
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

    /// Every group.
    pub fn all(&self) -> Vec<Arc<Group<S>>> {
        let state = lock(&self.state);
        state.topics.values().flatten().cloned().collect()
    }

    /// Every group of a topic.
    pub(super) fn of(&self, topic: &str) -> Vec<Arc<Group<S>>> {
        lock(&self.state)
            .topics
            .get(topic)
            .cloned()
            .unwrap_or_default()
    }

    /// Adds a group that has no members yet.
    pub(super) fn add(&self, group: Arc<Group<S>>) {
        lock(&self.state).add(group);
    }

    /// Forgets those of which this says so. Nobody joins meanwhile.
    pub fn remove(&self, is_over: impl Fn(&Group<S>) -> bool) -> usize {
        let mut removed = 0;
        lock(&self.state).topics.retain(|_, groups| {
            groups.retain(|group| {
                let remove = is_over(group);
                removed += usize::from(remove);
                !remove
            });
            !groups.is_empty()
        });
        removed
    }
}

impl<S: Source> State<S> {
    fn named(&self, topic: &str, name: &str) -> Option<Arc<Group<S>>> {
        let mut groups = self.topics.get(topic)?.iter();
        groups
            .find(|group| group.name() == Some(name))
            .map(Arc::clone)
    }

    fn add(&mut self, group: Arc<Group<S>>) {
        let of_topic = self.topics.entry(group.topic().to_owned()).or_default();
        of_topic.push(group);
    }

    /// Lets a member go, and with it a group that was its own.
    pub(super) fn leave(&mut self, member: u64, group: &Arc<Group<S>>) {
        self.members.remove(&member);
        group.leave(member);
        if group.name().is_some() {
            return;
        }
        if let Some(groups) = self.topics.get_mut(group.topic()) {
            groups.retain(|other| !Arc::ptr_eq(other, group));
            if groups.is_empty() {
                self.topics.remove(group.topic());
            }
        }
    }
}
