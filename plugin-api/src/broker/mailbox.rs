//! What waits for one subscriber: a bounded queue that loses the oldest messages and counts them.

use std::{
    collections::VecDeque,
    mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use futures::Stream;

use super::{Delivery, Message};
use crate::{Error, Result};

/// The most messages that wait in a [`Mailbox`].
pub const MAILBOX_MESSAGES: usize = 1_024;

/// The most bytes of messages that wait in a [`Mailbox`], as [`Message::size`] counts them.
pub const MAILBOX_BYTES: usize = 8 << 20;

/// How long the log is silent about losses after it has told of some.
const SILENCE: Duration = Duration::from_secs(10);

/// What the subscribers of one broker have lost: a count, and a log line now and then.
#[derive(Debug, Default)]
pub struct Losses(Mutex<Lost>);

#[derive(Debug, Default)]
struct Lost {
    total: u64,
    /// What of it the log has told, and when last.
    told: u64,
    last: Option<Instant>,
}

impl Losses {
    /// Nothing is lost yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// How many messages have been lost since the broker was opened: one that two subscribers
    /// lost counts twice.
    pub fn total(&self) -> u64 {
        lock(&self.0).total
    }

    /// Counts what a subscriber of `topic` lost.
    fn add(&self, topic: &str, lost: u64) {
        let (total, since) = {
            let mut losses = lock(&self.0);
            losses.total += lost;
            if losses.last.is_some_and(|last| last.elapsed() < SILENCE) {
                return;
            }
            losses.last = Some(Instant::now());
            let total = losses.total;
            (total, total - mem::replace(&mut losses.told, total))
        };
        tracing::warn!(
            topic,
            lost = since,
            total,
            "a subscriber is too slow: its oldest messages are dropped"
        );
    }
}

/// The stream of one subscriber, as [`Broker::subscribe`](super::Broker::subscribe) wants it.
/// Dropping it ends the subscription: [`MailboxSender::is_open`] says so.
#[derive(Debug)]
pub struct Mailbox(Arc<Mutex<State>>);

/// Where a broker puts the messages of one subscriber.
#[derive(Debug)]
pub struct MailboxSender {
    state: Weak<Mutex<State>>,
    topic: Arc<str>,
    losses: Arc<Losses>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Arc<Message>>,
    bytes: usize,
    /// How many were lost since the last delivery.
    lost: u64,
    end: Option<Error>,
    ended: bool,
    waker: Option<Waker>,
}

impl Mailbox {
    /// An empty mailbox for a subscriber of `topic`, which counts what is lost with `losses`.
    pub fn new(topic: impl Into<Arc<str>>, losses: &Arc<Losses>) -> (MailboxSender, Self) {
        let state = Arc::<Mutex<State>>::default();
        let sender = MailboxSender {
            state: Arc::downgrade(&state),
            topic: topic.into(),
            losses: losses.clone(),
        };
        (sender, Self(state))
    }
}

impl MailboxSender {
    /// Whether the subscriber is still there.
    pub fn is_open(&self) -> bool {
        self.state.strong_count() > 0
    }

    /// Whether a message of `size` bytes fits without another one being lost.
    pub fn has_room(&self, size: usize) -> bool {
        self.state
            .upgrade()
            .is_some_and(|state| lock(&state).has_room(size))
    }

    /// Puts a message into the mailbox; if it is full, the oldest ones are lost. Answers whether
    /// the subscriber was still there.
    pub fn send(&self, message: &Arc<Message>) -> bool {
        let Some(state) = self.state.upgrade() else {
            return false;
        };
        let size = message.size();
        let (dropped, waker) = {
            let mut state = lock(&state);
            let mut dropped = Vec::new();
            while !state.has_room(size) {
                dropped.extend(state.pop());
                state.lost += 1;
            }
            state.bytes += size;
            state.waiting.push_back(message.clone());
            (dropped, state.waker.take())
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        if !dropped.is_empty() {
            self.losses.add(&self.topic, dropped.len() as u64);
        }
        true
    }

    /// Ends the subscription with an error, once everything that waits has been read.
    pub fn end(&self, error: Error) {
        if let Some(state) = self.state.upgrade() {
            let mut state = lock(&state);
            state.end = Some(error);
            if let Some(waker) = state.waker.take() {
                waker.wake();
            }
        }
    }
}

impl State {
    fn has_room(&self, size: usize) -> bool {
        self.waiting.is_empty()
            || (self.waiting.len() < MAILBOX_MESSAGES
                && self.bytes.saturating_add(size) <= MAILBOX_BYTES)
    }

    fn pop(&mut self) -> Option<Arc<Message>> {
        let message = self.waiting.pop_front()?;
        self.bytes -= message.size();
        Some(message)
    }
}

impl Stream for Mailbox {
    type Item = Result<Delivery>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut state = lock(&self.0);
        if let Some(message) = state.pop() {
            let lost = mem::take(&mut state.lost);
            drop(state);
            // The last subscriber to read it takes it; the others copy the header.
            let message = Arc::unwrap_or_clone(message);
            return Poll::Ready(Some(Ok(Delivery { message, lost })));
        }
        if state.ended {
            return Poll::Ready(None);
        }
        if let Some(error) = state.end.take() {
            state.ended = true;
            return Poll::Ready(Some(Err(error)));
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

/// A panic while one of these is held leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, StreamExt as _};

    use super::*;

    fn numbered(number: u64, bytes: usize) -> Arc<Message> {
        let message = Message::new(vec![0; bytes]).with_header("n", number.to_string());
        Arc::new(message)
    }

    fn next(mailbox: &mut Mailbox) -> Option<(u64, u64)> {
        let delivery = mailbox.next().now_or_never()??.unwrap();
        Some((delivery.message.header["n"].parse().unwrap(), delivery.lost))
    }

    #[test]
    fn the_oldest_are_lost_and_the_next_delivery_says_how_many() {
        let losses = Losses::new();
        let (sender, mut mailbox) = Mailbox::new("t", &losses);
        for n in 0..MAILBOX_MESSAGES as u64 + 5 {
            assert!(sender.send(&numbered(n, 0)));
        }
        assert_eq!(losses.total(), 5);
        assert_eq!(next(&mut mailbox), Some((5, 5)));
        assert_eq!(next(&mut mailbox), Some((6, 0)), "told once");
    }

    #[test]
    fn bytes_are_bounded_too_and_one_message_always_fits() {
        let losses = Losses::new();
        let (sender, mut mailbox) = Mailbox::new("t", &losses);
        for n in 0..4 {
            sender.send(&numbered(n, MAILBOX_BYTES / 2 - 16));
        }
        assert_eq!(next(&mut mailbox), Some((2, 2)));
        assert_eq!(next(&mut mailbox), Some((3, 0)));
        assert!(
            sender.has_room(MAILBOX_BYTES + 1),
            "an empty mailbox takes anything"
        );
        sender.send(&numbered(4, MAILBOX_BYTES + 1));
        assert_eq!(next(&mut mailbox), Some((4, 0)));
        assert_eq!(next(&mut mailbox), None);
    }

    #[test]
    fn what_waits_is_read_before_the_end() {
        let (sender, mut mailbox) = Mailbox::new("t", &Losses::new());
        sender.send(&numbered(0, 0));
        sender.end(Error::unavailable("closed"));
        assert_eq!(next(&mut mailbox), Some((0, 0)));
        let error = mailbox.next().now_or_never().unwrap().unwrap().unwrap_err();
        assert_eq!(error.message(), "closed");
        assert!(mailbox.next().now_or_never().unwrap().is_none());
    }

    #[test]
    fn a_dropped_mailbox_is_closed() {
        let (sender, mailbox) = Mailbox::new("t", &Losses::new());
        drop(mailbox);
        assert!(!sender.is_open());
        assert!(!sender.has_room(0));
        assert!(!sender.send(&numbered(0, 0)));
    }
}
