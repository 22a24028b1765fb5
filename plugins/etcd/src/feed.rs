//! What waits for one who watches: a bounded queue, so that one who does not read costs nobody
//! anything.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use futures::Stream;
use micro_plugin_api::{Error, Result};
use tokio::sync::mpsc;

/// The most changes that wait.
pub(crate) const CHANGES: usize = 1_024;

/// The most bytes of changes that wait, beside the first.
pub(crate) const BYTES: usize = 8 << 20;

/// The end that is written to.
pub(crate) struct Feed<T> {
    queue: mpsc::UnboundedSender<Result<Queued<T>>>,
    waiting: Arc<Waiting>,
}

/// The end that is read from. It ends behind an error.
pub(crate) struct Reader<T> {
    queue: mpsc::UnboundedReceiver<Result<Queued<T>>>,
    waiting: Arc<Waiting>,
    ended: bool,
}

struct Queued<T> {
    change: T,
    /// How much room it takes of what may wait.
    changes: usize,
    bytes: usize,
}

#[derive(Default)]
struct Waiting {
    changes: AtomicUsize,
    bytes: AtomicUsize,
}

/// A queue that begins with `present`, which may be any number of changes.
pub(crate) fn feed<T>(present: impl IntoIterator<Item = T>) -> (Feed<T>, Reader<T>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let waiting = Arc::<Waiting>::default();
    let feed = Feed {
        queue: sender,
        waiting: waiting.clone(),
    };
    for change in present {
        feed.send(change, 0, 0);
    }
    let reader = Reader {
        queue: receiver,
        waiting,
        ended: false,
    };
    (feed, reader)
}

impl<T> Feed<T> {
    /// Adds a change of so many bytes. False when nobody reads any more, or too much waits already:
    /// the reader is told so then, and the feed is to be dropped.
    #[must_use]
    pub(crate) fn push(&self, change: T, bytes: usize) -> bool {
        let waiting = self.waiting.changes.load(Ordering::Acquire);
        let waiting_bytes = self.waiting.bytes.load(Ordering::Acquire);
        let full = waiting >= CHANGES || waiting_bytes.saturating_add(bytes) > BYTES;
        if full && waiting > 0 {
            self.end(Error::unavailable(format!(
                "{waiting} changes waited for a watcher that did not read; watch again"
            )));
            return false;
        }
        self.send(change, 1, bytes)
    }

    /// Tells the reader why nothing more comes.
    pub(crate) fn end(&self, error: Error) {
        // Nobody minds when the reader is gone.
        let _ = self.queue.send(Err(error));
    }

    /// Waits until nobody is there to read.
    pub(crate) async fn closed(&self) {
        self.queue.closed().await;
    }

    fn send(&self, change: T, changes: usize, bytes: usize) -> bool {
        self.waiting.changes.fetch_add(changes, Ordering::AcqRel);
        self.waiting.bytes.fetch_add(bytes, Ordering::AcqRel);
        let queued = Queued {
            change,
            changes,
            bytes,
        };
        self.queue.send(Ok(queued)).is_ok()
    }
}

impl<T> Stream for Reader<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        self.queue.poll_recv(context).map(|next| match next {
            Some(Ok(queued)) => {
                let waiting = &self.waiting;
                waiting.changes.fetch_sub(queued.changes, Ordering::AcqRel);
                waiting.bytes.fetch_sub(queued.bytes, Ordering::AcqRel);
                Some(Ok(queued.change))
            }
            Some(Err(error)) => {
                self.ended = true;
                Some(Err(error))
            }
            None => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, StreamExt as _};

    use super::*;

    /// How many changes the reader is given, and the error behind them.
    fn read(reader: &mut Reader<usize>) -> (usize, Option<Error>) {
        let mut count = 0;
        loop {
            match reader.next().now_or_never().flatten() {
                Some(Ok(_)) => count += 1,
                Some(Err(error)) => return (count, Some(error)),
                None => return (count, None),
            }
        }
    }

    #[test]
    fn too_many_changes_end_it_with_an_error_that_may_be_retried() {
        let (feed, mut reader) = feed(0..5_000);
        for i in 0..CHANGES {
            assert!(feed.push(i, 1));
        }
        assert!(!feed.push(0, 1));
        let (count, error) = read(&mut reader);
        assert_eq!(count, 5_000 + CHANGES);
        assert!(error.expect("an error").is_retryable());
        assert_eq!(read(&mut reader), (0, None));
    }

    #[test]
    fn too_many_bytes_end_it_and_one_change_is_never_too_many() {
        let (feed, mut reader) = feed([]);
        assert!(feed.push(0, BYTES + 1));
        assert_eq!(read(&mut reader), (1, None));
        assert!(feed.push(0, BYTES));
        assert!(!feed.push(0, 1));
        assert_eq!(read(&mut reader).0, 1);
    }

    #[test]
    fn without_a_reader_nothing_is_kept() {
        let (feed, reader) = feed([]);
        drop(reader);
        assert!(!feed.push(0, 1));
    }
}
