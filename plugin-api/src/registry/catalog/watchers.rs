//! Who watches: a bounded queue each, so that one who does not read costs nobody anything.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, Weak},
    task::{Context, Poll, Waker},
};

use futures::Stream;

use super::lock;
use crate::{
    Error, Result,
    registry::{Change, Filter, Service},
};

/// The most changes that are kept for a watcher that does not read.
const KEPT: usize = 1_024;

/// Everybody who watches.
#[derive(Debug, Default)]
pub(super) struct Watchers(Vec<(Filter, Weak<Mutex<Queue>>)>);

/// What a watcher has not read yet.
#[derive(Debug)]
struct Queue {
    changes: VecDeque<Change>,
    /// More changes came than were kept: the watcher must begin anew.
    fell_behind: bool,
    waker: Option<Waker>,
}

impl Watchers {
    /// A watch that begins with what is there and goes on with what [`Self::tell`] says.
    pub(super) fn add(&mut self, filter: Filter, present: Vec<Service>) -> Watch {
        self.0.retain(|(_, queue)| queue.strong_count() > 0);
        let queue = Arc::new(Mutex::new(Queue {
            changes: VecDeque::new(),
            fell_behind: false,
            waker: None,
        }));
        self.0.push((filter, Arc::downgrade(&queue)));
        Watch {
            present: present.into(),
            synced: false,
            ended: false,
            queue,
        }
    }

    /// Tells everybody whom it concerns, and forgets those who are gone.
    pub(super) fn tell(&mut self, change: &Change) {
        let (Change::Present(service)
        | Change::Created(service)
        | Change::Updated(service)
        | Change::Deleted(service)) = change
        else {
            return;
        };
        self.0.retain(|(filter, queue)| {
            let Some(queue) = queue.upgrade() else {
                return false;
            };
            if filter.matches(service) {
                return lock(&queue).push(change);
            }
            true
        });
    }
}

impl Queue {
    /// Whether the watcher is still to be told more.
    fn push(&mut self, change: &Change) -> bool {
        if self.changes.len() < KEPT {
            self.changes.push_back(change.clone());
        } else {
            self.fell_behind = true;
            self.changes = VecDeque::new();
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        !self.fell_behind
    }
}

/// The stream of one watcher.
#[derive(Debug)]
pub(super) struct Watch {
    present: VecDeque<Service>,
    synced: bool,
    ended: bool,
    queue: Arc<Mutex<Queue>>,
}

impl Stream for Watch {
    type Item = Result<Change>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Some(service) = self.present.pop_front() {
            return Poll::Ready(Some(Ok(Change::Present(service))));
        }
        if !self.synced {
            self.synced = true;
            return Poll::Ready(Some(Ok(Change::Synced)));
        }
        let mut queue = lock(&self.queue);
        if queue.fell_behind {
            drop(queue);
            self.ended = true;
            return Poll::Ready(Some(Err(Error::unavailable(format!(
                "more than {KEPT} changes came while the watcher did not read; watch again"
            )))));
        }
        match queue.changes.pop_front() {
            Some(change) => Poll::Ready(Some(Ok(change))),
            None => {
                queue.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, StreamExt as _};

    use super::*;

    #[test]
    fn a_watcher_that_does_not_read_is_dropped_and_told_so() {
        let mut watchers = Watchers::default();
        let mut watch = watchers.add(Filter::default(), Vec::new());
        for _ in 0..KEPT {
            watchers.tell(&Change::Created(Service::default()));
        }
        assert_eq!(lock(&watch.queue).changes.len(), KEPT);
        watchers.tell(&Change::Created(Service::default()));
        assert_eq!(lock(&watch.queue).changes.capacity(), 0);
        assert!(watchers.0.is_empty());
        let mut next = || watch.next().now_or_never().flatten();
        assert_eq!(next(), Some(Ok(Change::Synced)));
        assert!(next().is_some_and(|told| told.is_err_and(|error| error.is_retryable())));
        assert_eq!(next(), None);
    }

    #[test]
    fn a_watcher_that_is_gone_is_forgotten() {
        let mut watchers = Watchers::default();
        drop(watchers.add(Filter::default(), Vec::new()));
        watchers.tell(&Change::Created(Service::default()));
        assert!(watchers.0.is_empty());
    }
}
