//! The store: a log-structured tree on disk, one thread that writes, many that read.
//!
//! What is acknowledged is on disk. Writers that come at the same time share one sync, so that a
//! disk which syncs a thousand times a second takes many thousands of commits. Reads are
//! done where they are asked for while they are quick, and on threads that may wait for the disk
//! when they are not.
//!
//! The engine was chosen at 10 million records of 100 bytes; `ARCHITECTURE.md` has the figures.

mod engine;
mod key;
mod list;
mod names;
mod pace;
mod record;
mod recovery;
mod sweep;
mod writer;

use std::{
    path::Path,
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::Instant,
};

use micro_plugin_api::{
    BoxStream, Call, Error, Host, Result, Store,
    store::{Commit, ListQuery, Page, Record, RecordChange, Table, Version, Watchers},
};
use tokio::sync::{Semaphore, oneshot};

use self::{
    engine::{Engine, Open},
    pace::Pace,
    recovery::Acknowledged,
    sweep::Sweep,
    writer::{Job, Writer},
};
use crate::{Directory, Settings, space::Space};

/// How many commits may wait to be written; more wait for a place.
const WAITING: usize = 4_096;

/// Records in the plugin's folder.
pub struct FileStore {
    shared: Arc<Shared>,
}

/// What all instances with the same folder are views of.
struct Shared {
    engine: Arc<Engine>,
    watchers: Arc<Watchers>,
    /// `None` only while it is dropped.
    jobs: Option<mpsc::Sender<Job>>,
    places: Arc<Semaphore>,
    pace: Pace,
    writer: Option<JoinHandle<()>>,
    /// Dropped last: whoever has the folder next finds nothing in use.
    _directory: Arc<Directory>,
}

impl FileStore {
    /// Opens the store in the folder that the settings mean.
    ///
    /// # Errors
    /// Those of [`Directory::open`]; `internal` if what is there is damaged or incomplete, saying
    /// what.
    pub fn open(settings: Settings, host: Host) -> Result<Self> {
        let directory = Directory::open(&settings.folder(&host))?;
        let shared = directory.share(|directory| Shared::open(directory, &settings))?;
        Ok(Self { shared })
    }

    /// Runs what may wait for the disk where it holds up nobody.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Open) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let engine = self.shared.engine.clone();
        let done = tokio::task::spawn_blocking(move || work(&*engine.get()?)).await;
        done.unwrap_or_else(|failure| {
            Err(Error::internal(format!(
                "reading the store failed: {failure}"
            )))
        })
    }
}

impl Shared {
    fn open(directory: Arc<Directory>, settings: &Settings) -> Result<Self> {
        // The engine tells at length what it does. Nothing else in here uses that logger.
        log::set_max_level(log::LevelFilter::Warn);
        let folder = directory.module("store")?;
        let (engine, version) = Engine::open(&folder, settings.cache_mb << 20)?;
        let engine = Arc::new(engine);
        let watchers = Arc::new(Watchers::new());
        let writer = Writer {
            engine: engine.clone(),
            watchers: watchers.clone(),
            acknowledged: Acknowledged::open(&folder)?,
            space: Space::new(folder.clone(), settings.reserve_mb << 20),
            sweep: Sweep::new(),
            version,
            failure: None,
        };
        let (jobs, receiver) = mpsc::channel();
        let writer = std::thread::Builder::new()
            .name("file:store".to_owned())
            .spawn(move || writer.run(&receiver))
            .map_err(|error| no_thread(&folder, &error))?;
        Ok(Self {
            engine,
            watchers,
            jobs: Some(jobs),
            places: Arc::new(Semaphore::new(WAITING)),
            pace: Pace::default(),
            writer: Some(writer),
            _directory: directory,
        })
    }
}

impl Shared {
    /// [`read`], whose time counts for where the next ones are done.
    fn read(&self, engine: &Open, table: Table<'_>, key: &str) -> Result<Option<Record>> {
        let begun = Instant::now();
        let found = read(engine, table, key);
        self.pace.note(begun.elapsed());
        found
    }
}

fn no_thread(folder: &Path, error: &std::io::Error) -> Error {
    Error::unavailable(format!(
        "cannot start the thread that writes to {}: {error}",
        folder.display()
    ))
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The thread writes what it has and ends when nobody can send it more.
        self.jobs = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

impl Store for FileStore {
    async fn read(&self, _call: &Call, table: Table<'_>, key: &str) -> Result<Option<Record>> {
        if self.shared.pace.is_quick()
            && let Some(engine) = self.shared.engine.try_get()
        {
            return self.shared.read(&engine, table, key);
        }
        let shared = self.shared.clone();
        let (database, table, key) = (
            table.database.to_owned(),
            table.table.to_owned(),
            key.to_owned(),
        );
        self.blocking(move |engine| shared.read(engine, Table::new(&database, &table), &key))
            .await
    }

    async fn list(&self, _call: &Call, table: Table<'_>, query: &ListQuery<'_>) -> Result<Page> {
        let (database, table) = (table.database.to_owned(), table.table.to_owned());
        let (prefix, suffix) = (query.prefix.to_owned(), query.suffix.to_owned());
        let cursor = query.cursor.cloned();
        let (order, limit, skip, fields) = (query.order, query.limit, query.skip, query.fields);
        self.blocking(move |engine| {
            let query = ListQuery {
                prefix: &prefix,
                suffix: &suffix,
                cursor: cursor.as_ref(),
                order,
                limit,
                skip,
                fields,
            };
            list::page(engine, Table::new(&database, &table), &query)
        })
        .await
    }

    async fn commit(&self, _call: &Call, commit: &Commit) -> Result<Version> {
        commit.validate()?;
        let closed =
            || Error::unavailable("the store's writing thread has ended; restart the server");
        let places = self.shared.places.clone();
        let place = places.acquire_owned().await.map_err(|_| closed())?;
        let (answer, answered) = oneshot::channel();
        let job = Job {
            commit: commit.clone(),
            answer,
            _place: place,
        };
        let jobs = self.shared.jobs.as_ref().ok_or_else(closed)?;
        jobs.send(job).map_err(|_| closed())?;
        answered.await.unwrap_or_else(|_| Err(closed()))
    }

    async fn databases(&self, _call: &Call) -> Result<Vec<String>> {
        self.blocking(names::databases).await
    }

    async fn tables(&self, _call: &Call, database: &str) -> Result<Vec<String>> {
        let database = database.to_owned();
        self.blocking(move |engine| names::tables(engine, &database))
            .await
    }

    async fn watch(
        &self,
        _call: &Call,
        table: Table<'_>,
        prefix: &str,
    ) -> Result<BoxStream<Result<RecordChange>>> {
        Ok(self.shared.watchers.watch(table, prefix))
    }

    async fn health(&self, _call: &Call) -> Result<()> {
        self.blocking(|_| Ok(())).await
    }
}

fn read(engine: &Open, table: Table<'_>, key: &str) -> Result<Option<Record>> {
    let place = key::of_record(table, key);
    let Some(bytes) = engine.read(table, key, &place)? else {
        return Ok(None);
    };
    let record = record::decode(&place, key, &bytes).map_err(|_| engine.damaged(table, key))?;
    Ok(Some(record).filter(|record| !record.has_expired()))
}
