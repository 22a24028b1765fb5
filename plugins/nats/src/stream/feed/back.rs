//! What a process has of a group and does not need goes to others: what its members do not take, and
//! all of it once they have left.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::{HeaderMap, Subject};
use futures::{StreamExt as _, stream};
use micro_plugin_api::{Error, stream::Group};

use super::Feed;
use crate::stream::{
    envelope::position,
    held::{Message, Progress},
    puller::Pulled,
    queue::Queue,
};

/// Every so many ticks the task says that it still has what it has; five times as long is too late,
/// see [`crate::stream::line::HELD`].
const ALIVE: u32 = 3;
/// What nobody took for so long is given back.
const STALE: Duration = Duration::from_secs(1);
/// For so long a group without members waits for the next one: members come and go.
const LINGER: Duration = Duration::from_secs(1);
/// How many messages are given back at once.
const AT_ONCE: usize = 16;
/// How long a request that is under way may take to end when nobody wants more.
const LAST: Duration = Duration::from_secs(2);

impl Feed {
    /// Whether nobody is left, and nothing on its way. Nobody joins a group afterwards: the next one
    /// makes it anew.
    pub(super) fn is_over(&mut self) -> bool {
        if self.group.size() > 0 {
            self.state.empty_since = None;
            return false;
        }
        let empty_since = *self.state.empty_since.get_or_insert_with(Instant::now);
        if self.shared.is_none() {
            return true;
        }
        let is_dead = self.group.source().has_ended();
        let may_come = empty_since.elapsed() < LINGER || !self.line.is_idle();
        if may_come && !is_dead {
            return false;
        }
        let group = Arc::as_ptr(&self.group);
        let is_mine = |other: &Group<Queue>| std::ptr::eq(other, group) && other.size() == 0;
        self.groups.remove(is_mine) > 0
    }

    /// Says what this process still has, writes down what is dealt with, and sees whether something
    /// is to be given back.
    pub(super) async fn look_after(&mut self) {
        if self.shared.is_none() || !self.jet.connection.is_up() {
            return;
        }
        let queue = self.group.source();
        self.state.ticks += 1;
        if self.state.ticks.is_multiple_of(ALIVE) {
            let client = self.jet.connection.client();
            for reply in queue.held(|held| held.replies()) {
                let _ = client.publish(reply, "+WPI".into()).await;
            }
        }
        let changed = queue.held(|held| held.changed());
        if !changed.is_empty() {
            let state = self.group.state().unwrap_or_default();
            let attempts: HashMap<_, _> = state.pending.into_iter().collect();
            let notes = changed.into_iter().map(|(sequence, mut progress)| {
                for (index, before) in &mut progress.open {
                    let now = attempts.get(&position(sequence, *index));
                    *before = now.copied().unwrap_or(*before);
                }
                self.note(sequence, progress)
            });
            let notes: Vec<_> = notes.collect();
            let notes = stream::iter(notes).buffer_unordered(AT_ONCE);
            notes.for_each(|_| std::future::ready(())).await;
        }
        self.state.is_giving_back |= self.has_stale();
    }

    /// Gives back what nobody took, once no request is under way: it would come here again, and one
    /// that is cancelled may lose what was just sent for it.
    pub(super) async fn give_back_stale(&mut self) {
        let may = self.line.is_idle() && self.jet.connection.is_up();
        if !self.state.is_giving_back || !may {
            return;
        }
        self.state.is_giving_back = false;
        let queue = self.group.source();
        let mut taken = Vec::new();
        let due = self.group.take_due(stale(), |due| {
            let whole = queue.stale(due, STALE);
            taken = queue.take(&whole);
            due.intersection(&whole).copied().collect()
        });
        taken.extend(due);
        if taken.is_empty() {
            return;
        }
        self.state.batch = 1;
        self.state.wanted = 0;
        self.give_back(taken).await;
        // Who does read asks anew.
        self.group.wake();
    }

    fn has_stale(&self) -> bool {
        let queue = self.group.source();
        let mut has_stale = false;
        self.group.take_due(stale(), |due| {
            has_stale = !queue.stale(due, STALE).is_empty();
            HashSet::new()
        });
        has_stale
    }

    /// Gives the messages of these events to other processes, in their order.
    async fn give_back(&self, events: Vec<(u64, u32)>) {
        let messages = self.group.source().held(|held| held.take(&events));
        let messages = messages.into_iter();
        let noted: Vec<_> = messages
            .map(|(at, message)| self.noted_for(at, message))
            .collect();
        let mut noted = stream::iter(noted).buffered(AT_ONCE);
        let mut replies = Vec::new();
        while let Some(reply) = noted.next().await {
            replies.extend(reply);
        }
        let client = self.jet.connection.client();
        for reply in replies {
            let _ = client.publish(reply, "-NAK".into()).await;
        }
    }

    /// Where a message is given back, when all is written down that the next process has to know.
    /// Without that it had better stay until this process is not believed to have it.
    async fn noted_for(&self, sequence: u64, message: Message) -> Option<Subject> {
        let is_known = !message.is_special() || self.note(sequence, message.progress).await;
        is_known.then_some(message.reply)
    }

    /// Writes down what is open of a message. Whether that was done.
    async fn note(&self, sequence: u64, progress: Progress) -> bool {
        let Some(shared) = &self.shared else {
            return false;
        };
        let subject = self.jet.layout.progress(&shared.consumer, sequence);
        let Ok(body) = serde_json::to_vec(&progress) else {
            return false;
        };
        let deadline = self.jet.connection.timeout();
        let note = self
            .jet
            .store(&subject, HeaderMap::new(), body.into(), deadline);
        note.await.is_ok()
    }

    /// Gives back all that this process has.
    pub(super) async fn finish(mut self) {
        let closed = Error::unavailable("the stream was closed; consume again");
        self.group.source().end(closed);
        self.group.wake();
        if self.shared.is_none() || !self.jet.connection.is_up() {
            return;
        }
        self.wait_for_request().await;
        let mut all = self.group.source().take_waiting();
        all.extend(self.group.take_all());
        // What was given up for its retry limit just now.
        self.acknowledge().await;
        self.give_back(all).await;
    }

    /// Takes in what a request that is under way still brings.
    async fn wait_for_request(&mut self) {
        let last = tokio::time::Instant::now() + LAST;
        while !self.line.is_idle() {
            match tokio::time::timeout_at(last, self.line.next()).await {
                Ok(Pulled::Entry(entry)) => self.bring(entry).await,
                Ok(_) | Err(_) => break,
            }
        }
    }
}

/// What is due since before this is stale.
fn stale() -> Instant {
    let now = Instant::now();
    now.checked_sub(STALE).unwrap_or(now)
}
