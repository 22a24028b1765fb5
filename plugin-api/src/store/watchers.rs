//! Who watches a store that sees all its commits itself: a bounded queue for each watcher.

use std::{
    collections::{HashMap, VecDeque},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

use futures::Stream;

use super::{Commit, RecordChange, Table, Version};
use crate::{BoxStream, Error, Result};

/// The most changes that wait for a watcher of [`Watchers`].
pub const WATCHER_CHANGES: usize = 1_024;

/// The most bytes of keys, values and metadata that wait for a watcher of [`Watchers`], beside the
/// first change.
pub const WATCHER_BYTES: usize = 8 << 20;

/// Everybody who watches a store: what an implementation of [`Store::watch`](super::Store::watch)
/// needs when all commits go through this one process.
///
/// The store calls [`Watchers::tell`] for each commit, in the order of the commits of a table, once
/// reads can see it (or under a lock that reads of that table take too). Nobody waits for a
/// watcher: for whom more waits than [`WATCHER_CHANGES`] or [`WATCHER_BYTES`], the stream ends with
/// an error that says so.
#[derive(Debug, Default)]
pub struct Watchers {
    tables: Mutex<Tables>,
    /// Whether there is anybody: commits look here first, and mostly find nobody.
    any: AtomicBool,
}

type Tables = HashMap<(String, String), Vec<Watcher>>;

#[derive(Debug)]
struct Watcher {
    prefix: String,
    queue: Weak<Mutex<Queue>>,
}

/// What a watcher has not read yet.
#[derive(Debug, Default)]
struct Queue {
    changes: VecDeque<RecordChange>,
    bytes: usize,
    fell_behind: bool,
    waker: Option<Waker>,
}

impl Watchers {
    /// Nobody yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The changes that [`Self::tell`] reports from now on. Dropped, they are forgotten.
    pub fn watch(&self, table: Table<'_>, prefix: &str) -> BoxStream<Result<RecordChange>> {
        let queue = Arc::new(Mutex::new(Queue::default()));
        let watcher = Watcher {
            prefix: prefix.to_owned(),
            queue: Arc::downgrade(&queue),
        };
        let mut tables = lock(&self.tables);
        // Those who are gone of tables that nobody writes any more would stay for good otherwise.
        tables.retain(|_, watchers| {
            watchers.retain(|watcher| watcher.queue.strong_count() > 0);
            !watchers.is_empty()
        });
        tables
            .entry((table.database.to_owned(), table.table.to_owned()))
            .or_default()
            .push(watcher);
        self.any.store(true, Ordering::SeqCst);
        drop(tables);
        Box::pin(Watch {
            queue,
            ended: false,
        })
    }

    /// Tells everybody whom it concerns of a commit that was applied under `version`.
    pub fn tell(&self, commit: &Commit, version: Version) {
        if !self.any.load(Ordering::SeqCst) {
            return;
        }
        let mut tables = lock(&self.tables);
        for operation in &commit.operations {
            let table = (operation.database.clone(), operation.table.clone());
            let Some(watchers) = tables.get_mut(&table) else {
                continue;
            };
            let change = operation.change(version);
            watchers.retain(|watcher| {
                let Some(queue) = watcher.queue.upgrade() else {
                    return false;
                };
                !change.key().starts_with(&watcher.prefix) || lock(&queue).push(&change)
            });
            if watchers.is_empty() {
                tables.remove(&table);
            }
        }
        if tables.is_empty() {
            self.any.store(false, Ordering::SeqCst);
        }
    }
}

impl Queue {
    /// Whether the watcher is still to be told more.
    fn push(&mut self, change: &RecordChange) -> bool {
        let bytes = size(change);
        let full = self.changes.len() >= WATCHER_CHANGES
            || self.bytes.saturating_add(bytes) > WATCHER_BYTES;
        if full && !self.changes.is_empty() {
            self.fell_behind = true;
            self.changes = VecDeque::new();
        } else {
            self.bytes += bytes;
            self.changes.push_back(change.clone());
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        !self.fell_behind
    }
}

fn size(change: &RecordChange) -> usize {
    let of_record = match change {
        RecordChange::Put(record) => {
            let metadata = record.metadata.iter();
            record.value.len() + metadata.map(|(k, v)| k.len() + v.len()).sum::<usize>()
        }
        RecordChange::Deleted { .. } => 0,
    };
    change.key().len() + of_record
}

/// The stream of one watcher.
struct Watch {
    queue: Arc<Mutex<Queue>>,
    ended: bool,
}

impl Stream for Watch {
    type Item = Result<RecordChange>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let mut queue = lock(&self.queue);
        if queue.fell_behind {
            drop(queue);
            self.ended = true;
            return Poll::Ready(Some(Err(Error::unavailable(
                "more changes came than are kept for a watcher that does not read; watch and list again",
            ))));
        }
        match queue.changes.pop_front() {
            Some(change) => {
                queue.bytes -= size(&change);
                Poll::Ready(Some(Ok(change)))
            }
            None => {
                queue.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// A panic while a queue is held leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures::{FutureExt as _, StreamExt as _};

    use super::{super::*, *};

    const TABLE: Table<'static> = Table::new("db", "table");

    fn put(key: &str, bytes: usize) -> Commit {
        let put = Put {
            value: Bytes::from(vec![0; bytes]),
            ..Put::default()
        };
        Commit::new().put(TABLE, key, Precondition::Any, put)
    }

    fn next(watch: &mut BoxStream<Result<RecordChange>>) -> Option<Option<Result<String>>> {
        let next = watch.next().now_or_never()?;
        Some(next.map(|change| change.map(|change| change.key().to_owned())))
    }

    #[test]
    fn a_watcher_hears_of_its_table_and_prefix_alone() {
        let watchers = Watchers::new();
        let mut watch = watchers.watch(TABLE, "a/");
        let other = Table::new("db", "other");
        watchers.tell(&put("b", 1), Version(1));
        watchers.tell(
            &Commit::new()
                .delete(other, "a/0", Precondition::Any)
                .delete(TABLE, "a/1", Precondition::Any),
            Version(2),
        );
        assert_eq!(next(&mut watch), Some(Some(Ok("a/1".to_owned()))));
        assert_eq!(next(&mut watch), None);
    }

    #[test]
    fn one_who_does_not_read_is_told_so_by_count_and_by_bytes() {
        for (changes, bytes) in [(WATCHER_CHANGES, 1), (2, WATCHER_BYTES / 2)] {
            let watchers = Watchers::new();
            let mut watch = watchers.watch(TABLE, "");
            for i in 0..=changes {
                watchers.tell(&put("k", bytes), Version(i as u64));
            }
            assert!(lock(&watchers.tables).is_empty());
            let told = next(&mut watch).flatten().and_then(Result::err);
            assert!(told.is_some_and(|error| error.is_retryable()));
            assert_eq!(next(&mut watch), Some(None));
        }
    }

    #[test]
    fn one_change_may_be_larger_than_all_that_may_wait() {
        let watchers = Watchers::new();
        let mut watch = watchers.watch(TABLE, "");
        for i in 0..3 {
            watchers.tell(&put("k", WATCHER_BYTES + 1), Version(i));
            assert_eq!(next(&mut watch), Some(Some(Ok("k".to_owned()))));
        }
    }

    #[test]
    fn one_who_is_gone_is_forgotten() {
        let watchers = Watchers::new();
        drop(watchers.watch(TABLE, ""));
        watchers.tell(&put("k", 1), Version(1));
        assert!(lock(&watchers.tables).is_empty());
        assert!(!watchers.any.load(Ordering::SeqCst));
    }
}
