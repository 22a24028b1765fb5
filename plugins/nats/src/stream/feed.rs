//! What brings events from a consumer of JetStream to those who consume in this process, and
//! acknowledgements back: one task for each group, and for each who consumes alone.
//!
//! It asks for messages when somebody waits, so that nothing is buffered for one who does not read.
//! A message that is with this process belongs to it for as long as it says so; what its members do
//! not take within a few seconds, and what the last of them leaves behind, is given back for other
//! processes.
//! JetStream counts deliveries of messages. The contract counts those of events, to consumers, and
//! a message may have many: what cannot be guessed from JetStream's count is written down
//! ([`Progress`]) when a message is given back, and a second after a part of it was dealt with.

mod back;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::{Subject, Subscriber};
use futures::StreamExt as _;
use micro_plugin_api::{
    Backoff,
    stream::{Event, Group, Groups},
};
use serde_json::json;
use tokio::sync::watch;

use super::{
    api::Failure,
    entry::Entry,
    held::{Message, Progress},
    jet::Jet,
    line::Line,
    puller::Pulled,
    queue::Queue,
    terms,
};

use crate::connection::backoff;

/// How many messages are asked for at once.
const BATCH: usize = 32;
/// How often the task looks after what it has.
const TICK: Duration = Duration::from_secs(1);
/// How long a request for messages of a group is under way: one that is no longer wanted has to end
/// before what it might bring can be given back.
const SHORT: Duration = Duration::from_secs(1);
/// The same for one who consumes alone.
const LONG: Duration = Duration::from_secs(20);

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
    /// Present while the group has terms.
    pub(super) asked: Option<Subscriber>,
}

/// How it goes.
pub(super) struct State {
    /// How many messages somebody wants.
    wanted: usize,
    /// How many are asked for at once: fewer when they were not taken in time.
    batch: usize,
    /// When to try again, if something failed.
    retry: Option<tokio::time::Instant>,
    pauses: Backoff,
    ticks: u32,
    /// Since when the group has no members.
    empty_since: Option<Instant>,
    /// Whether something is to be given back, and nothing asked for meanwhile.
    is_giving_back: bool,
}

impl State {
    pub(super) fn new(is_shared: bool) -> Self {
        Self {
            wanted: 0,
            batch: if is_shared { 1 } else { BATCH },
            retry: None,
            pauses: backoff(),
            ticks: 0,
            empty_since: None,
            is_giving_back: false,
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
            self.listen();
            self.acknowledge().await;
            self.give_back_stale().await;
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

    /// Hears who asks for the group's terms, while it has some.
    fn listen(&mut self) {
        let Some(shared) = &mut self.shared else {
            return;
        };
        if self.group.terms().is_none() {
            shared.asked = None;
        } else if let Some(asked) = self.group.source().asked() {
            shared.asked.get_or_insert(asked);
        }
    }

    /// Asks for messages, if somebody wants some and no request is under way.
    async fn ask(&mut self) {
        self.state.wanted = self.state.wanted.max(self.group.source().wanted());
        let is_wanted = self.state.wanted > 0 && self.state.empty_since.is_none();
        let may = !self.state.is_giving_back && self.state.retry.is_none();
        if !is_wanted || !may || !self.jet.connection.is_up() {
            return;
        }
        let deadline = self.jet.connection.timeout();
        let asked = async {
            let puller = self.line.up(deadline).await?;
            if puller.is_idle() {
                let wanted = self.state.wanted.saturating_mul(self.group.size());
                let (messages, expires) = match self.shared {
                    Some(_) => (wanted.min(self.state.batch).max(1), SHORT),
                    None => (self.state.batch, LONG),
                };
                let sent = puller.request(messages, Some(expires)).await;
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
        let pause = self.state.pauses.next_wait();
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
                self.state.pauses = backoff();
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
        let mut pauses = backoff();
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
                Ok::<_, Failure>((events, noted))
            };
            match opened.await {
                Ok(opened) => return Some(opened),
                // It comes again when this process is not believed to have it.
                Err(failure) if failure.is_passing() && self.is_unread() => return None,
                Err(failure) if failure.is_passing() => {
                    tokio::time::sleep(pauses.next_wait()).await;
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

    fn is_unread(&self) -> bool {
        *self.ended.borrow() || self.group.size() == 0
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
        if let (Some(reply), Some(terms)) = (asked, self.group.terms()) {
            let terms = terms::text(terms);
            let _ = self.jet.connection.client().publish(reply, terms).await;
        }
    }
}

/// The next one who asks for the terms of a group.
async fn next(shared: &mut Option<Shared>) -> Option<Subject> {
    let asked = match shared.as_mut().and_then(|shared| shared.asked.as_mut()) {
        Some(asked) => asked.next().await,
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
