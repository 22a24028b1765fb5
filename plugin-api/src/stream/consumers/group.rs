//! One group: how far it is, and what of that is not settled.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{Batch, GroupState, Source, lock};
use crate::{
    clock::unix_millis,
    stream::{Acks, ConsumeOptions},
};

/// How many events a member that is alone takes from the log at once.
const CHUNK: usize = 32;
/// For how long a member may hold events that it has not handed out yet, until others may have
/// them: it is not being read.
const RESERVED: Duration = Duration::from_secs(1);
/// How long an event that was refused waits for its first redelivery; twice as long each time.
const REFUSED: Duration = Duration::from_millis(10);
/// The longest such wait.
const REFUSED_MOST: Duration = Duration::from_secs(1);

/// Who shares a topic's events, how far they are, and what of that is not settled.
pub struct Group<S> {
    topic: String,
    name: Option<String>,
    source: S,
    inner: Mutex<Inner>,
    woken: Notify,
    /// Held by the member that reads what nobody had yet.
    pub(super) reading: tokio::sync::Mutex<()>,
    changes: Arc<AtomicU64>,
}

struct Inner {
    next: u64,
    /// What is below `next` and not settled.
    pending: BTreeMap<u64, Pending>,
    /// The members and whether each acknowledges.
    members: HashMap<u64, bool>,
    /// Fixed by the first member that acknowledges.
    terms: Option<Terms>,
    left: Option<u64>,
}

#[derive(Clone, Copy)]
struct Terms {
    wait: Duration,
    retry_limit: Option<u32>,
}

struct Pending {
    attempts: u32,
    at: At,
}

/// Where an event that is not settled is.
#[derive(Clone, Copy)]
enum At {
    /// With a member that has not handed it out yet.
    Reserved { member: u64, until: Instant },
    /// With a consumer.
    Delivered { member: u64, until: Instant },
    /// Nowhere: to be delivered again, not before this.
    Due(Instant),
}

/// What a member is to do.
pub(super) enum Claim {
    /// Deliver these again.
    Again(Vec<u64>),
    /// Read at most so many that nobody had yet.
    New(usize),
    /// Wait: it has as many as it may.
    Full,
}

impl<S: Source> Group<S> {
    /// A group of a name, or a consumer's own without one, that has no members and begins with
    /// the position `next`.
    pub fn new(topic: &str, name: Option<String>, next: u64, source: S) -> Arc<Self> {
        Self::counted(topic, name, next, source, Arc::default())
    }

    /// The same, which counts its changes with others.
    pub(super) fn counted(
        topic: &str,
        name: Option<String>,
        next: u64,
        source: S,
        changes: Arc<AtomicU64>,
    ) -> Arc<Self> {
        Arc::new(Self {
            topic: topic.to_owned(),
            name,
            source,
            inner: Mutex::new(Inner {
                next,
                pending: BTreeMap::new(),
                members: HashMap::new(),
                terms: None,
                left: None,
            }),
            woken: Notify::new(),
            reading: tokio::sync::Mutex::new(()),
            changes,
        })
    }

    pub(super) fn restored(kept: &GroupState, source: S, changes: Arc<AtomicU64>) -> Arc<Self> {
        let name = Some(kept.group.clone());
        let group = Self::counted(&kept.topic, name, kept.next, source, changes);
        let due = At::Due(Instant::now());
        {
            let mut inner = lock(&group.inner);
            // Those who were members when the process died left then, as far as anybody knows.
            inner.left = Some(kept.left.unwrap_or_else(unix_millis));
            inner.pending = kept
                .pending
                .iter()
                .map(|&(position, attempts)| (position, Pending { attempts, at: due }))
                .collect();
        }
        group
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The name; `None` where it is a consumer's own.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Where its events come from.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// Is told whenever members should look again, and when one has left.
    pub fn woken(&self) -> &Notify {
        &self.woken
    }

    /// Tells members that wait to look again: there is something to read.
    pub fn wake(&self) {
        self.woken.notify_waiters();
    }

    fn changed(&self) {
        if self.name.is_some() {
            self.changes.fetch_add(1, Ordering::Release);
        }
    }

    /// Ack wait and retry limit, if a member that acknowledges has fixed them.
    pub fn terms(&self) -> Option<(Duration, Option<u32>)> {
        let terms = lock(&self.inner).terms?;
        Some((terms.wait, terms.retry_limit))
    }

    pub(super) fn join(&self, member: u64, options: &ConsumeOptions) {
        let mut inner = lock(&self.inner);
        let manual = match options.acks {
            Acks::Automatic => false,
            Acks::Manual { wait } => {
                inner.terms.get_or_insert(Terms {
                    wait,
                    retry_limit: options.retry_limit,
                });
                true
            }
        };
        inner.members.insert(member, manual);
        inner.left = None;
    }

    pub(super) fn leave(&self, member: u64) {
        let mut inner = lock(&self.inner);
        inner.members.remove(&member);
        let now = Instant::now();
        let held = inner.pending.iter().filter_map(|(position, pending)| {
            let (holder, delivered) = match pending.at {
                At::Reserved { member, .. } => (member, false),
                At::Delivered { member, .. } => (member, true),
                At::Due(_) => return None,
            };
            (holder == member).then_some((*position, delivered))
        });
        for (position, delivered) in held.collect::<Vec<_>>() {
            self.again(&mut inner, position, now, delivered);
        }
        if inner.members.is_empty() {
            inner.terms = None;
            inner.left = Some(unix_millis());
        }
        drop(inner);
        self.changed();
        self.wake();
    }

    /// Takes away for somebody else what no member has and none of them takes: of all that is due
    /// since before `since` what `choose` says. The positions, the lowest first, and how often
    /// each was delivered.
    pub fn take_due(
        &self,
        since: Instant,
        choose: impl FnOnce(&HashSet<u64>) -> HashSet<u64>,
    ) -> Vec<(u64, u32)> {
        let mut inner = lock(&self.inner);
        let (mut late, now) = (Vec::new(), Instant::now());
        for (position, pending) in &inner.pending {
            match pending.at {
                At::Reserved { until, .. } if until <= now => late.push((*position, false)),
                At::Delivered { until, .. } if until <= now => late.push((*position, true)),
                _ => {}
            }
        }
        for (position, delivered) in late {
            self.again(&mut inner, position, now, delivered);
        }
        let due = inner
            .pending
            .iter()
            .filter(|(_, pending)| matches!(pending.at, At::Due(from) if from <= since));
        let chosen = choose(&due.map(|(position, _)| *position).collect());
        let mut taken = Vec::new();
        inner.pending.retain(|position, pending| {
            let take = chosen.contains(position);
            if take {
                taken.push((*position, pending.attempts));
            }
            !take
        });
        taken
    }

    /// Takes away everything that is not settled, for somebody else, and with it the meaning of
    /// what members still hold. The positions, the lowest first, and how often each was delivered.
    pub fn take_all(&self) -> Vec<(u64, u32)> {
        let mut inner = lock(&self.inner);
        let now = Instant::now();
        let delivered = inner.pending.iter().filter_map(|(position, pending)| {
            matches!(pending.at, At::Delivered { .. }).then_some(*position)
        });
        for position in delivered.collect::<Vec<_>>() {
            self.again(&mut inner, position, now, true);
        }
        let pending = std::mem::take(&mut inner.pending).into_iter();
        pending
            .map(|(at, pending)| (at, pending.attempts))
            .collect()
    }

    /// How many members there are.
    pub fn size(&self) -> usize {
        lock(&self.inner).members.len()
    }

    /// What `member`, which may have `in_flight` that are not settled, is to do at `now`.
    pub(super) fn claim(&self, member: u64, in_flight: usize, now: Instant) -> Claim {
        let mut inner = lock(&self.inner);
        let (mut late, mut due, mut mine) = (Vec::new(), Vec::new(), 0);
        for (position, pending) in &inner.pending {
            match pending.at {
                At::Reserved { until, .. } if until <= now => late.push((*position, false)),
                At::Delivered { until, .. } if until <= now => late.push((*position, true)),
                At::Reserved { member: holder, .. } | At::Delivered { member: holder, .. } => {
                    mine += usize::from(holder == member);
                }
                At::Due(from) if from <= now => due.push(*position),
                At::Due(_) => {}
            }
        }
        for (position, delivered) in late {
            if self.again(&mut inner, position, now, delivered) {
                due.push(position);
            }
        }
        let manual = inner.members.get(&member).copied().unwrap_or(false);
        let room = if manual {
            in_flight.saturating_sub(mine)
        } else {
            CHUNK
        };
        if room == 0 {
            return Claim::Full;
        }
        // Alone, many at once cost less; with others, each takes one after the other.
        let share = if inner.members.len() > 1 { 1 } else { CHUNK };
        due.sort_unstable();
        due.truncate(room.min(share));
        if due.is_empty() {
            return Claim::New(room.min(share));
        }
        for position in &due {
            if let Some(pending) = inner.pending.get_mut(position) {
                pending.at = reserved(member, now);
            }
        }
        Claim::Again(due)
    }

    /// Makes a pending event one to be delivered again, unless that was done often enough. Whether
    /// it is.
    fn again(&self, inner: &mut Inner, position: u64, from: Instant, delivered: bool) -> bool {
        let limit = inner.terms.and_then(|terms| terms.retry_limit);
        let Some(pending) = inner.pending.get_mut(&position) else {
            return false;
        };
        if delivered && limit.is_some_and(|limit| pending.attempts > limit) {
            let attempts = pending.attempts;
            inner.pending.remove(&position);
            self.source.done(position);
            self.changed();
            tracing::warn!(
                topic = self.topic,
                group = self.name(),
                position,
                attempts,
                "an event was delivered as often as its consumers allow, and nobody acknowledged it"
            );
            return false;
        }
        pending.at = At::Due(from);
        true
    }

    /// Where the first event is that nobody had yet.
    pub(super) fn next(&self) -> u64 {
        lock(&self.inner).next
    }

    /// When to claim again, if what was claimed at `now` brought nothing and nobody wakes the group.
    pub(super) fn first_after(&self, now: Instant) -> Option<Instant> {
        lock(&self.inner).first_after(now)
    }

    /// Gives `member` what it has read from [`Self::next`] on, while it held [`Self::reading`].
    /// If it has left meanwhile, the others are to have it.
    pub(super) fn reserve(&self, member: u64, batch: &Batch) {
        let mut inner = lock(&self.inner);
        let (now, is_here) = (Instant::now(), inner.members.contains_key(&member));
        let at = match is_here {
            true => reserved(member, now),
            false => At::Due(now),
        };
        for event in &batch.events {
            let attempts = self.source.attempts(event.position);
            let pending = Pending { attempts, at };
            inner.pending.insert(event.position, pending);
        }
        inner.next = inner.next.max(batch.next);
        drop(inner);
        self.changed();
        if !is_here {
            self.wake();
        }
    }

    /// Notes that `member` hands an event out; how often that was done now, or `None` if it is not
    /// the member's any more.
    pub(super) fn hand_out(&self, member: u64, position: u64) -> Option<u32> {
        let mut inner = lock(&self.inner);
        let manual = inner.members.get(&member).copied()?;
        let terms = inner.terms;
        let pending = inner.pending.get_mut(&position)?;
        if !matches!(pending.at, At::Reserved { member: holder, .. } if holder == member) {
            return None;
        }
        pending.attempts = pending.attempts.saturating_add(1);
        let attempts = pending.attempts;
        match terms.filter(|_| manual) {
            Some(Terms { wait, .. }) => {
                let now = Instant::now();
                // Longer than the clock can express is for good, or nearly.
                let until = now.checked_add(wait);
                let until = until.unwrap_or_else(|| now + Duration::from_secs(1 << 32));
                pending.at = At::Delivered { member, until };
            }
            None => {
                inner.pending.remove(&position);
                self.source.done(position);
            }
        }
        drop(inner);
        self.changed();
        Some(attempts)
    }

    /// Forgets an event that is kept no more.
    pub(super) fn gone(&self, position: u64) {
        lock(&self.inner).pending.remove(&position);
        self.source.done(position);
        self.changed();
    }

    pub(super) fn settle(&self, member: u64, position: u64, attempt: u32, acknowledged: bool) {
        let mut inner = lock(&self.inner);
        let Some(pending) = inner.pending.get(&position) else {
            return;
        };
        let attempts = pending.attempts;
        let is_its = match pending.at {
            At::Delivered { member: holder, .. } => holder == member,
            // After the ack wait, and nobody else has it yet.
            At::Due(_) => acknowledged,
            At::Reserved { .. } => false,
        };
        if !is_its {
            return;
        }
        if acknowledged {
            inner.pending.remove(&position);
            self.source.done(position);
        } else if attempt == attempts {
            let wait = REFUSED.saturating_mul(1 << attempts.saturating_sub(1).min(10));
            let from = Instant::now() + wait.min(REFUSED_MOST);
            self.again(&mut inner, position, from, true);
        }
        drop(inner);
        self.changed();
        self.wake();
    }

    /// What of it outlives a process; `None` where it is a consumer's own.
    pub fn state(&self) -> Option<GroupState> {
        let group = self.name.clone()?;
        let inner = lock(&self.inner);
        let pending = inner.pending.iter();
        Some(GroupState {
            topic: self.topic.clone(),
            group,
            next: inner.next,
            pending: pending.map(|(at, it)| (*at, it.attempts)).collect(),
            left: inner.left,
        })
    }

    pub(super) fn is_abandoned(&self, before: u64) -> bool {
        lock(&self.inner).left.is_some_and(|left| left < before)
    }
}

impl Inner {
    /// When the next of what is pending becomes due of itself. What is due already waits for room,
    /// not for the clock.
    fn first_after(&self, now: Instant) -> Option<Instant> {
        let pending = self.pending.values();
        pending
            .map(|pending| match pending.at {
                At::Reserved { until, .. } | At::Delivered { until, .. } => until,
                At::Due(from) => from,
            })
            .filter(|moment| *moment > now)
            .min()
    }
}

fn reserved(member: u64, now: Instant) -> At {
    At::Reserved {
        member,
        until: now + RESERVED,
    }
}
