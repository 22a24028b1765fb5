//! What waits in this process for the members of a group, or for somebody alone.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_nats::Subscriber;
use micro_plugin_api::{
    Error, Result,
    stream::{Batch, Event, Source},
};
use tokio::sync::Notify;

use super::{
    api::Failure,
    envelope::place,
    held::{Held, Message},
    jet::Jet,
};

use crate::connection::backoff;

/// The events of one consumer of JetStream that nobody had yet, and whether somebody wants more.
pub(super) struct Queue {
    jet: Arc<Jet>,
    topic: String,
    inner: Mutex<Inner>,
    /// Told when somebody wants more, or something is dealt with.
    pub(super) woken: Notify,
}

#[derive(Default)]
struct Inner {
    ready: VecDeque<Event>,
    /// When the last of these came, or somebody took one.
    moved: Option<Instant>,
    /// How many more somebody would take.
    wanted: usize,
    held: Held,
    /// Who asks for the group's terms, as the last member that came may hear it.
    asked: Option<Subscriber>,
    /// Why there are no more.
    end: Option<Error>,
}

impl Queue {
    pub(super) fn new(jet: &Arc<Jet>, topic: &str) -> Self {
        Self {
            jet: jet.clone(),
            topic: topic.to_owned(),
            inner: Mutex::default(),
            woken: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while it is held leaves nothing half done.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many events somebody wants who waits; asking takes the wish away.
    pub(super) fn wanted(&self) -> usize {
        std::mem::take(&mut self.lock().wanted)
    }

    /// Puts events where members find them.
    pub(super) fn push(&self, events: impl IntoIterator<Item = Event>) {
        let mut inner = self.lock();
        inner.ready.extend(events);
        inner.moved = Some(Instant::now());
    }

    /// Ends it for all who read.
    pub(super) fn end(&self, error: Error) {
        self.lock().end = Some(error);
    }

    /// Whether it is over for all who read.
    pub(super) fn has_ended(&self) -> bool {
        self.lock().end.is_some()
    }

    /// Leaves for the group's task what hears of those who ask for its terms.
    pub(super) fn listen(&self, asked: Subscriber) {
        self.lock().asked = Some(asked);
        self.woken.notify_one();
    }

    /// What [`Self::listen`] left.
    pub(super) fn asked(&self) -> Option<Subscriber> {
        self.lock().asked.take()
    }

    /// What this process has of the group's consumer.
    pub(super) fn held<T>(&self, with: impl FnOnce(&mut Held) -> T) -> T {
        with(&mut self.lock().held)
    }

    /// Takes in a message of a group: what of it is open waits for members.
    pub(super) fn hold(&self, sequence: u64, message: Message, events: Vec<Event>) {
        let mut inner = self.lock();
        let open = &message.progress.open;
        let events = events.into_iter().enumerate();
        let events: Vec<_> = events
            .filter(|(index, _)| open.contains_key(index))
            .map(|(_, event)| event)
            .collect();
        inner.held.add(sequence, message);
        inner.ready.extend(events);
        inner.moved = Some(Instant::now());
    }

    /// Takes away what waits, with how often each was delivered.
    pub(super) fn take_waiting(&self) -> Vec<(u64, u32)> {
        let mut inner = self.lock();
        let waiting = std::mem::take(&mut inner.ready);
        let positions = waiting.iter().map(|event| event.position);
        positions.map(|at| (at, inner.held.attempts(at))).collect()
    }

    /// What of whole messages nobody took for so long, of what waits here and of what is `due` in
    /// the group.
    pub(super) fn stale(&self, due: &HashSet<u64>, after: Duration) -> HashSet<u64> {
        let inner = self.lock();
        let is_stale = inner.moved.is_some_and(|moved| moved.elapsed() >= after);
        let waiting = inner.ready.iter().filter(|_| is_stale);
        let mut all: HashSet<_> = waiting.map(|event| event.position).collect();
        all.extend(due);
        inner.held.whole(&all)
    }

    /// Takes away what of these waits here, with how often each was delivered.
    pub(super) fn take(&self, positions: &HashSet<u64>) -> Vec<(u64, u32)> {
        let mut taken = Vec::new();
        let Inner { ready, held, .. } = &mut *self.lock();
        ready.retain(|event| {
            let take = positions.contains(&event.position);
            if take {
                taken.push((event.position, held.attempts(event.position)));
            }
            !take
        });
        taken
    }
}

impl Source for Queue {
    async fn read(&self, from: u64, max: usize) -> Result<Batch> {
        let mut inner = self.lock();
        let count = inner.ready.len().min(max);
        let events: Vec<_> = inner.ready.drain(..count).collect();
        if events.is_empty() {
            if let Some(end) = &inner.end {
                return Err(end.clone());
            }
            inner.wanted = inner.wanted.max(max);
            self.woken.notify_one();
        } else {
            inner.moved = Some(Instant::now());
        }
        let next = events.iter().map(|event| event.position + 1).max();
        Ok(Batch {
            events,
            next: next.map_or(from, |next| next.max(from + 1)),
        })
    }

    async fn read_again(&self, position: u64) -> Result<Option<Event>> {
        let (sequence, index) = place(position);
        let mut pauses = backoff();
        loop {
            let deadline = self.jet.connection.timeout();
            let read = async {
                let Some(entry) = self.jet.at(sequence, deadline).await? else {
                    return Ok(None);
                };
                let events = self.jet.events(&self.topic, &entry, deadline).await?;
                Ok::<_, Failure>(events.into_iter().nth(index))
            };
            match read.await {
                Ok(event) => return Ok(event),
                // The consumer stays while NATS is away.
                Err(failure) if failure.is_passing() => {
                    tokio::time::sleep(pauses.next_wait()).await;
                }
                Err(failure) => return Err(self.jet.error(&failure, "read an event again")),
            }
        }
    }

    fn attempts(&self, position: u64) -> u32 {
        self.lock().held.attempts(position)
    }

    fn done(&self, position: u64) {
        let is_finished = self.lock().held.done(position);
        if is_finished {
            self.woken.notify_one();
        }
    }
}
