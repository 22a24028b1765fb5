//! Who watches, and the one task that reads the log for all of them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures::{StreamExt as _, future, stream};
use micro_plugin_api::{
    BoxStream, Error, Result,
    store::{RecordChange, Table, Watchers},
};
use tokio::{
    sync::{Notify, watch},
    time::{timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::poll::{self, Place, Poll, Reading};
use crate::{
    database::{Database, backoff},
    key::TableId,
};

/// Everybody who watches the store of an instance.
pub(crate) struct Watching {
    database: Arc<Database>,
    watchers: Watchers,
    watched: Mutex<Watched>,
    /// How many of the arrivals in [`Watched`] the log has been read for.
    served: watch::Sender<u64>,
    /// There is something to read, or somebody new.
    awake: Notify,
}

/// What is watched.
#[derive(Default)]
struct Watched {
    tables: HashMap<TableId, (poll::Table, usize)>,
    /// How often somebody has come.
    arrivals: u64,
    /// Ends all watches of today, when changes were lost.
    lapse: CancellationToken,
    ended: bool,
}

/// Somebody who watches a table, until it is dropped.
struct Watcher {
    watching: Arc<Watching>,
    table: TableId,
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut watched = self.watching.watched();
        if let Some((_, count)) = watched.tables.get_mut(&self.table) {
            *count -= 1;
            if *count == 0 {
                watched.tables.remove(&self.table);
            }
        }
    }
}

impl Watching {
    pub(crate) fn new(database: Arc<Database>) -> Arc<Self> {
        Arc::new(Self {
            database,
            watchers: Watchers::new(),
            watched: Mutex::default(),
            served: watch::Sender::new(0),
            awake: Notify::new(),
        })
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes from now on. Answers by `until`, once it is known where in the log "now" is.
    pub(crate) async fn watch(
        self: &Arc<Self>,
        until: Instant,
        table: Table<'_>,
        prefix: &str,
    ) -> Result<BoxStream<Result<RecordChange>>> {
        let changes = self.watchers.watch(table, prefix);
        let (watcher, arrival, lapse) = self.arrive(table)?;
        self.awake.notify_one();
        let mut served = self.served.subscribe();
        let waited = timeout_at(until.into(), served.wait_for(|served| *served >= arrival)).await;
        if !matches!(waited, Ok(Ok(_))) {
            return Err(self.database.no_answer());
        }
        let lapsed = lapse.clone();
        let changes = changes.take_until(async move { lapsed.cancelled().await });
        let after = stream::once(future::lazy(move |_| {
            let _watches_until_then = watcher;
            lapse.is_cancelled().then(lapsed_error)
        }));
        Ok(changes
            .chain(after.filter_map(future::ready).map(Err))
            .boxed())
    }

    fn arrive(self: &Arc<Self>, table: Table<'_>) -> Result<(Watcher, u64, CancellationToken)> {
        let id = TableId::new(table);
        let mut watched = self.watched();
        if watched.ended {
            return Err(Error::unavailable("the store has been closed"));
        }
        let named = || poll::Table {
            id,
            database: table.database.to_owned(),
            name: table.table.to_owned(),
        };
        watched.tables.entry(id).or_insert_with(|| (named(), 0)).1 += 1;
        watched.arrivals += 1;
        let watcher = Watcher {
            watching: self.clone(),
            table: id,
        };
        Ok((watcher, watched.arrivals, watched.lapse.clone()))
    }

    /// Has the log read now.
    pub(crate) fn wake(&self) {
        self.awake.notify_one();
    }

    /// Ends all watches, for good.
    pub(crate) fn end(&self) {
        let mut watched = self.watched();
        watched.ended = true;
        watched.lapse.cancel();
    }

    /// The work of the task: reads the log every `interval`, and when it is woken, while somebody
    /// watches.
    pub(crate) async fn work(self: Arc<Self>, interval: Duration) {
        let mut place = None;
        let mut waits = backoff();
        loop {
            let (tables, arrivals) = self.present();
            if tables.is_empty() {
                // Whoever comes next begins at the present then.
                place = None;
                self.awake.notified().await;
                continue;
            }
            let poll = Poll {
                after: place,
                tables: &tables,
            };
            let until = self.database.default_until();
            match self.database.run_until(until, &poll).await {
                Ok(reading) => {
                    waits = backoff();
                    let more = reading.more;
                    place = Some(self.tell(reading));
                    self.served.send_replace(arrivals);
                    if !more {
                        // Either way the log is read next.
                        let _ = timeout(interval, self.awake.notified()).await;
                    }
                }
                Err(error) => {
                    tracing::debug!("the log of changes was not read: {error}");
                    tokio::time::sleep(waits.next_wait()).await;
                }
            }
        }
    }

    fn present(&self) -> (Vec<poll::Table>, u64) {
        let watched = self.watched();
        let tables = watched.tables.values().map(|(table, _)| table.clone());
        (tables.collect(), watched.arrivals)
    }

    fn tell(&self, reading: Reading) -> Place {
        if reading.gap {
            let lapsed = std::mem::take(&mut self.watched().lapse);
            lapsed.cancel();
        } else {
            for (commit, version) in &reading.changes {
                self.watchers.tell(commit, *version);
            }
        }
        reading.place
    }
}

fn lapsed_error() -> Error {
    Error::unavailable("changes may have been missed; watch and list again")
}
