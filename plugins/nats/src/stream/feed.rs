//! What brings events from a consumer of JetStream to those who consume in this process, and
//! acknowledgements back: one task for each group, and for each who consumes alone.
//!
//! It asks for messages when somebody waits, so that nothing is buffered for one who does not read.
//! A message that is with this process belongs to it for as long as it says so; what its members do
//! not take within a second or two, and what they leave behind, is given back for other processes.
//! JetStream counts deliveries of messages. The contract counts those of events, to consumers, and
//! a message may have many: what cannot be guessed from JetStream's count is written down
//! ([`Progress`]) when a message is given back, and a second after a part of it was dealt with.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::{HeaderMap, Subject, Subscriber};
use futures::{StreamExt as _, stream};
use micro_plugin_api::{
    Error,
    stream::{Event, Group, Groups},
};
use serde_json::json;
use tokio::sync::watch;

use super::{
    api::Failure,
    entry::Entry,
    envelope::position,
    held::{Message, Progress},
    jet::{Jet, Pauses},
    line::Line,
    puller::Pulled,
    queue::Queue,
    terms,
};

/// How many messages are asked for at once.
const BATCH: usize = 32;
/// How often the task looks after what it has.
const TICK: Duration = Duration::from_secs(1);
/// Every so many ticks it says that it still has what it has; five times as long is too late, see
/// [`super::line::HELD`].
const ALIVE: u32 = 3;
/// What nobody took for so long is given back.
const STALE: Duration = Duration::from_secs(1);
/// How many messages are given back at once.
const AT_ONCE: usize = 16;

/// One who brings events.
pub(super) struct Feed {
    pub(super) jet: Arc<Jet>,
    pub(super) groups: Groups<Queue>,
    pub(super) group: Arc<Group<Queue>>,
    pub(super) line: Line,
    /// The durable consumer of a group, and who asks for the group's terms.
    pub(super) shared: Option<Shared>,
    pub(super) ended: watch::Receiver<bool>,
    pub(super) state: State,
}

/// What a group has that others consume from, too.
pub(super) struct Shared {
    pub(super) consumer: String,
    pub(super) asked: Subscriber,
}

/// How it goes.
pub(super) struct State {
    /// How many messages somebody wants.
    wanted: usize,
    /// How many are asked for at once: fewer when they were not taken in time.
    batch: usize,
    /// When to try again, if something failed.
    retry: Option<tokio::time::Instant>,
    pauses: Pauses,
    ticks: u32,
}

impl State {
    pub(super) fn new(is_shared: bool) -> Self {
        Self {
            wanted: 0,
            batch: if is_shared { 1 } else { BATCH },
            retry: None,
            pauses: Pauses::new(),
            ticks: 0,
        }
    }
}

impl Feed {
    /// Brings events until nobody is left who wants some.
    pub(super) async fn run(mut self) {
        let group = self.group.clone();
        let mut link = self.jet.connection.changes();
        let mut ended = self.ended.clone();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            // Before looking, so that nothing is missed that happens in between.
            let woken = group.woken().notified();
            tokio::pin!(woken);
            woken.as_mut().enable();
            if self.is_over() {
                break;
            }
            self.acknowledge().await;
            self.ask().await;
            let retry = self.state.retry;
            tokio::select! {
                pulled = self.line.next() => self.take(pulled).await,
                () = group.source().woken.notified() => {}
                () = &mut woken => {}
                asked = next(&mut self.shared) => self.answer(asked).await,
                Ok(()) = link.changed() => self.reset(),
                () = until(retry) => self.state.retry = None,
                _ = tick.tick() => self.look_after().await,
                () = over(&mut ended) => break,
            }
        }
        self.finish().await;
    }

    /// Whether nobody is left. Nobody joins a group afterwards: the next one makes it anew.
    fn is_over(&self) -> bool {
        if self.group.size() > 0 {
            return false;
        }
        let group = Arc::as_ptr(&self.group);
        let is_mine = |other: &Group<Queue>| std::ptr::eq(other, group) && other.size() == 0;
        self.shared.is_none() || self.groups.remove(is_mine) > 0
    }

    /// Asks for messages, if somebody wants some and no request is under way.
    async fn ask(&mut self) {
        self.state.wanted = self.state.wanted.max(self.group.source().wanted());
        let is_up = self.jet.connection.is_up();
        if self.state.wanted == 0 || self.state.retry.is_some() || !is_up {
            return;
        }
        let deadline = self.jet.connection.timeout();
        let asked = async {
            let puller = self.line.up(deadline).await?;
            if puller.is_idle() {
                let wanted = self.state.wanted.saturating_mul(self.group.size());
                let messages = match self.shared {
                    Some(_) => wanted.min(self.state.batch).max(1),
                    None => self.state.batch,
                };
                let sent = puller.request(messages, true).await;
                sent.map_err(|_| Failure::Silent)?;
                self.state.wanted = 0;
            }
            Ok(())
        };
        let asked = asked.await;
        self.note_failure(asked);
    }

    fn note_failure(&mut self, result: Result<(), Failure>) {
        let Err(failure) = result else { return };
        if !failure.is_passing() {
            tracing::warn!(
                topic = self.group.topic(),
                group = self.group.name(),
                error = %failure,
                "the consumer in NATS cannot be had; trying again"
            );
        }
        if matches!(failure, Failure::Nobody) || !failure.is_passing() {
            self.jet.setup.forget();
        }
        self.again();
    }

    fn again(&mut self) {
        let pause = self.state.pauses.next();
        self.state.retry = Some(tokio::time::Instant::now() + pause);
    }

    /// The connection was lost or made anew, and a request with it.
    fn reset(&mut self) {
        let left = self.line.reset();
        self.state.wanted = self.state.wanted.max(left);
        self.state.retry = None;
    }

    async fn take(&mut self, pulled: Pulled) {
        match pulled {
            Pulled::Entry(entry) => {
                self.state.pauses = Pauses::new();
                // All that was asked for came.
                if self.line.is_idle() {
                    self.state.batch = (self.state.batch * 2).min(BATCH);
                }
                self.bring(entry).await;
            }
            // Whoever waited waits on.
            Pulled::Over | Pulled::Empty => self.state.wanted = self.state.wanted.max(1),
            Pulled::Gone => {
                self.state.wanted = self.state.wanted.max(1);
                self.again();
            }
        }
    }

    /// Hands a message's events to those who wait.
    async fn bring(&mut self, entry: Entry) {
        let queue = self.group.source();
        let reply = match (&self.shared, &entry.delivery.reply) {
            (None, _) => None,
            (Some(_), None) => return,
            (Some(_), Some(reply)) => Some(reply.clone()),
        };
        if let Some(reply) = &reply
            && !queue.held(|held| held.is_new(entry.sequence, reply, entry.delivery.times))
        {
            // It has used up a request: whoever waited waits on.
            self.state.wanted = self.state.wanted.max(1);
            return;
        }
        let Some((events, noted)) = self.open(&entry).await else {
            return;
        };
        match reply {
            None => queue.push(events),
            Some(reply) if events.is_empty() => {
                queue.held(|held| held.finish(entry.sequence, reply, noted.is_some()));
            }
            Some(reply) => {
                let message = Message::new(reply, entry.delivery.times, &events, noted);
                queue.hold(entry.sequence, message, events);
            }
        }
        self.group.wake();
    }

    /// What a message holds, and what is written down of it. Keeps at it while NATS is away;
    /// nothing when nobody is left to read it, or it cannot be read at all.
    async fn open(&self, entry: &Entry) -> Option<(Vec<Event>, Option<Progress>)> {
        let mut pauses = Pauses::new();
        loop {
            let deadline = self.jet.connection.timeout();
            let opened = async {
                let topic = self.group.topic();
                let events = self.jet.events(topic, entry, deadline).await?;
                let noted = match &self.shared {
                    Some(shared) if entry.delivery.times > 1 => {
                        self.noted(&shared.consumer, entry.sequence).await?
                    }
                    _ => None,
                };
                Ok((events, noted))
            };
            match opened.await {
                Ok(opened) => return Some(opened),
                Err(Failure::Nobody | Failure::Silent) if *self.ended.borrow() => return None,
                Err(failure) if failure.is_passing() && self.group.size() > 0 => {
                    tokio::time::sleep(pauses.next()).await;
                }
                Err(failure) => {
                    let error = self.jet.error(&failure, "read an event");
                    self.group.source().end(error);
                    self.group.wake();
                    return None;
                }
            }
        }
    }

    async fn noted(&self, consumer: &str, sequence: u64) -> Result<Option<Progress>, Failure> {
        let subject = self.jet.layout.progress(consumer, sequence);
        let deadline = self.jet.connection.timeout();
        let entry = self.jet.last(&self.jet.layout.groups, &subject, deadline);
        let entry = entry.await?;
        Ok(entry.and_then(|entry| serde_json::from_slice(&entry.body).ok()))
    }

    /// Acknowledges what was dealt with.
    async fn acknowledge(&mut self) {
        let Some(shared) = &self.shared else { return };
        if !self.jet.connection.is_up() {
            return;
        }
        let client = self.jet.connection.client();
        for (sequence, reply, is_noted) in self.group.source().held(|held| held.finished()) {
            // One that is lost is made again when the message comes again.
            let _ = client.publish(reply, "+ACK".into()).await;
            if is_noted {
                let subject = self.jet.layout.progress(&shared.consumer, sequence);
                let purge = format!("$JS.API.STREAM.PURGE.{}", self.jet.layout.groups);
                let body = json!({"filter": subject}).to_string();
                let nobody = client.new_inbox();
                let _ = client.publish_with_reply(purge, nobody, body.into()).await;
            }
        }
    }

    /// Tells another process the terms of this group.
    async fn answer(&self, asked: Option<Subject>) {
        if let Some(reply) = asked {
            let terms = terms::text(self.group.terms());
            let _ = self.jet.connection.client().publish(reply, terms).await;
        }
    }

    /// Says what this process still has, writes down what is dealt with, and gives back what nobody
    /// takes.
    async fn look_after(&mut self) {
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
        let taken = self.take_back();
        if !taken.is_empty() {
            // Whoever waited did not take them: he asks anew when he reads again.
            self.state.batch = 1;
            self.state.wanted = 0;
            // What is given back would come here again.
            self.withdraw().await;
            self.give_back(taken).await;
        }
    }

    /// Asks for no more, and takes in what is on its way.
    async fn withdraw(&mut self) {
        let deadline = self.jet.connection.timeout();
        for entry in self.line.drain(deadline).await {
            self.bring(entry).await;
        }
    }

    /// Takes the events from the members' reach that nobody took in time.
    fn take_back(&self) -> Vec<(u64, u32)> {
        let queue = self.group.source();
        let since = Instant::now().checked_sub(STALE);
        let mut taken = Vec::new();
        let due = self
            .group
            .take_due(since.unwrap_or_else(Instant::now), |due| {
                let (waiting, due) = queue.take_whole(due, STALE);
                taken = waiting;
                due
            });
        taken.extend(due);
        taken
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
        for reply in replies {
            let _ = self
                .jet
                .connection
                .client()
                .publish(reply, "-NAK".into())
                .await;
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
    async fn finish(mut self) {
        let closed = Error::unavailable("the stream was closed; consume again");
        self.group.source().end(closed);
        self.group.wake();
        if self.shared.is_none() || !self.jet.connection.is_up() {
            return;
        }
        self.withdraw().await;
        let mut all = self.group.source().take_waiting();
        all.extend(self.group.take_all());
        // What was given up for its retry limit just now.
        self.acknowledge().await;
        self.give_back(all).await;
    }
}

/// The next one who asks for the terms of a group.
async fn next(shared: &mut Option<Shared>) -> Option<Subject> {
    let asked = match shared {
        Some(shared) => shared.asked.next().await,
        None => None,
    };
    match asked {
        Some(message) => message.reply,
        None => std::future::pending().await,
    }
}

/// Until the module shuts down.
async fn over(ended: &mut watch::Receiver<bool>) {
    // One whose sender is gone has ended, too.
    let _ = ended.wait_for(|ended| *ended).await;
}

async fn until(moment: Option<tokio::time::Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
