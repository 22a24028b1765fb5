//! The task that keeps the snapshot up to date: it follows the registry's watch, and refreshes
//! everything when a lookup has missed.

use std::{future::pending, sync::Arc, time::Duration};

use futures::{StreamExt, future::BoxFuture, stream::ReadyChunks};
use micro_plugin_api::{
    BoxStream, Call, RegistryHandle, Result,
    registry::{Change, Filter, Service},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};

use super::{Miss, NoRoute, Shared, snapshot::Table};

/// How long the registry may take to open a watch or to list.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(2_500);

/// The pause before a broken watch is opened again; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause before a broken watch is opened again: routes are right again within five
/// seconds of the registry's return.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How many changes that are there already are taken in together.
const BATCH: usize = 256;

type Registry = Box<dyn Fn() -> RegistryHandle + Send + Sync>;
type Changes = ReadyChunks<BoxStream<Result<Change>>>;
type Listing = BoxFuture<'static, Result<Vec<Service>, String>>;
type Opening = BoxFuture<'static, Result<Changes, String>>;

/// Runs until its [`super::Routes`] is gone.
pub(super) async fn run(
    shared: Arc<Shared>,
    registry: Registry,
    mut misses: mpsc::UnboundedReceiver<Miss>,
) {
    let mut follower = Follower::new(shared);
    let mut watch = Watch::Opening(open(registry()));
    let mut listing: Option<Listing> = None;
    let mut pause = FIRST_PAUSE;
    loop {
        tokio::select! {
            miss = misses.recv() => match miss {
                Some(miss) => follower.waiting.push(miss),
                None => return,
            },
            event = watch.next() => watch = match event {
                Event::Opened(stream) => {
                    follower.incoming = Some(Table::default());
                    Watch::Open(stream)
                }
                Event::Changes(batch) => match follower.apply(batch) {
                    Ok(in_step) => {
                        if in_step && pause > FIRST_PAUSE {
                            tracing::info!("the registry is watched again");
                            pause = FIRST_PAUSE;
                        }
                        continue;
                    }
                    Err(error) => rest(&mut pause, &error),
                },
                Event::Failed(error) => rest(&mut pause, &error),
                Event::Rested => Watch::Opening(open(registry())),
            },
            answer = finished(&mut listing) => {
                listing = None;
                follower.listed(answer);
            }
        }
        if listing.is_none() && !follower.waiting.is_empty() {
            // Everybody who missed so far shares this one; who comes later looks at what it
            // brought before there is another.
            while let Ok(miss) = misses.try_recv() {
                follower.waiting.push(miss);
            }
            follower.start_refresh();
            listing = Some(list(registry()));
        }
    }
}

/// Where the watch stands.
enum Watch {
    Opening(Opening),
    Open(Changes),
    Resting(Instant),
}

enum Event {
    Opened(Changes),
    Changes(Vec<Result<Change>>),
    Failed(String),
    Rested,
}

impl Watch {
    /// Safe to drop and to call again: whatever was under way stays in `self`.
    async fn next(&mut self) -> Event {
        match self {
            Self::Opening(opening) => match opening.await {
                Ok(changes) => Event::Opened(changes),
                Err(error) => Event::Failed(error),
            },
            Self::Open(changes) => match changes.next().await {
                Some(batch) => Event::Changes(batch),
                None => Event::Failed("the watch has ended".into()),
            },
            Self::Resting(until) => {
                sleep_until(*until).await;
                Event::Rested
            }
        }
    }
}

fn rest(pause: &mut Duration, error: &str) -> Watch {
    const TROUBLE: &str = "cannot watch the registry, routing by what it said last";
    // Said once: an outage is full of attempts.
    if *pause == FIRST_PAUSE {
        tracing::warn!("{TROUBLE}: {error}");
    } else {
        tracing::debug!(retry_in_ms = pause.as_millis(), "{TROUBLE}: {error}");
    }
    let until = Instant::now() + *pause;
    *pause = (*pause * 2).min(LONGEST_PAUSE);
    Watch::Resting(until)
}

fn open(registry: RegistryHandle) -> Opening {
    Box::pin(async move {
        // The deadline is not the call's own: the watch is to last.
        match timeout(
            ANSWER_TIMEOUT,
            registry.watch(&Call::new(""), &Filter::default()),
        )
        .await
        {
            Ok(Ok(stream)) => Ok(stream.ready_chunks(BATCH)),
            Ok(Err(error)) => Err(error.message().to_owned()),
            Err(_) => Err("it did not open a watch in time".into()),
        }
    })
}

fn list(registry: RegistryHandle) -> Listing {
    Box::pin(async move {
        let call = Call::new("").with_timeout(ANSWER_TIMEOUT);
        match timeout(ANSWER_TIMEOUT, registry.list(&call, &Filter::default())).await {
            Ok(Ok(services)) => Ok(services),
            Ok(Err(error)) => Err(error.message().to_owned()),
            Err(_) => Err("it did not answer in time".into()),
        }
    })
}

async fn finished(listing: &mut Option<Listing>) -> Result<Vec<Service>, String> {
    match listing {
        Some(listing) => listing.await,
        None => pending().await,
    }
}

struct Follower {
    shared: Arc<Shared>,
    table: Table,
    /// What a new watch has told until it is in step; then it replaces the table.
    incoming: Option<Table>,
    /// The lookups that a refresh which is under way answers.
    asking: Vec<Miss>,
    /// The lookups that missed since.
    waiting: Vec<Miss>,
    /// What changed during a refresh, whose answer may be older than that.
    since: Vec<Change>,
}

impl Follower {
    fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            table: Table::default(),
            incoming: None,
            asking: Vec::new(),
            waiting: Vec::new(),
            since: Vec::new(),
        }
    }

    /// Takes in what the watch brought; answers whether it is in step with the registry.
    fn apply(&mut self, batch: Vec<Result<Change>>) -> Result<bool, String> {
        let mut changed = Vec::new();
        let mut replaced = false;
        let mut failure = None;
        for change in batch {
            let change = match change {
                Ok(change) => change,
                Err(error) => {
                    failure = Some(error.message().to_owned());
                    break;
                }
            };
            if !self.asking.is_empty() {
                self.since.push(change.clone());
            }
            match (change, &mut self.incoming) {
                (Change::Synced, incoming) => {
                    if let Some(table) = incoming.take() {
                        self.table = table;
                        replaced = true;
                    }
                }
                (change, Some(table)) => {
                    take_in(table, change);
                }
                (change, None) => changed.extend(take_in(&mut self.table, change)),
            }
        }
        let before = self.shared.snapshot.load_full();
        if replaced {
            self.shared.publish(self.table.snapshot(&before));
        } else if !changed.is_empty() {
            self.shared.publish(self.table.update(&before, &changed));
        }
        match failure {
            None => Ok(self.incoming.is_none()),
            Some(error) => {
                self.incoming = None;
                Err(error)
            }
        }
    }

    fn start_refresh(&mut self) {
        self.since.clear();
        self.asking = std::mem::take(&mut self.waiting);
    }

    /// Takes in the answer of a refresh, and answers those who wait for it.
    fn listed(&mut self, answer: Result<Vec<Service>, String>) {
        let missing = match answer {
            Ok(services) => {
                self.table = Table::of(services);
                for change in self.since.drain(..) {
                    take_in(&mut self.table, change);
                }
                let before = self.shared.snapshot.load_full();
                self.shared.publish(self.table.snapshot(&before));
                NoRoute::Unknown
            }
            Err(error) => NoRoute::Registry(error),
        };
        let snapshot = self.shared.snapshot.load_full();
        let found = |miss: &Miss| snapshot.get(&miss.domain, &miss.service).cloned();
        for miss in self.asking.drain(..) {
            let answer = found(&miss).ok_or_else(|| missing.clone());
            // Whoever no longer waits needs no answer.
            let _ = miss.answer.send(answer);
        }
        for miss in std::mem::take(&mut self.waiting) {
            match found(&miss) {
                Some(route) => {
                    let _ = miss.answer.send(Ok(route));
                }
                None => self.waiting.push(miss),
            }
        }
    }
}

/// Changes the table; the domain and name of what has changed by it.
fn take_in(table: &mut Table, change: Change) -> Option<(String, String)> {
    let (service, present) = match change {
        Change::Present(service) | Change::Created(service) | Change::Updated(service) => {
            (service, true)
        }
        Change::Deleted(service) => (service, false),
        _ => return None,
    };
    let key = (service.domain.clone(), service.name.clone());
    let news = if present {
        table.put(service)
    } else {
        table.remove(&service)
    };
    news.then_some(key)
}
