//! The stream: one log for all topics in segment files, one thread that writes, many that read.
//!
//! What is acknowledged is on disk: publishers that come at the same time share one sync. In
//! memory is where each event begins, four bytes an event; the events are on disk alone. Where
//! groups are is written down every second, and when a group is made.

mod acknowledged;
mod groups;
mod index;
mod log;
mod loss;
mod record;
mod retention;
mod scan;
mod segment;
mod writer;

use std::{
    sync::{Arc, mpsc},
    thread::JoinHandle,
};

use micro_plugin_api::{
    BoxStream, Call, Error, Host, Result, Stream,
    stream::{ConsumeOptions, Consumers, Delivery, Event, HistoryQuery, NewEvent, Settlement},
};
use tokio::sync::{Semaphore, oneshot};

use self::{
    acknowledged::Acknowledged,
    log::{Log, Reader},
    retention::Retention,
    writer::{Job, Publish, Writer},
};
use crate::{Directory, Settings, space::Space};

/// How many KiB of events may wait to be written; more wait for room.
const WAITING_KIB: usize = 64 << 10;

/// Events in the plugin's folder.
pub struct FileStream {
    shared: Arc<Shared>,
}

/// What all instances with the same folder are views of.
struct Shared {
    consumers: Arc<Consumers<Reader>>,
    /// `None` only while it is dropped.
    jobs: Option<mpsc::Sender<Job>>,
    room: Arc<Semaphore>,
    /// Cloned for each batch that is not answered yet.
    counted: Arc<()>,
    writer: Option<JoinHandle<()>>,
    /// Dropped last: whoever has the folder next finds nothing in use.
    _directory: Arc<Directory>,
}

impl FileStream {
    /// Opens the stream in the folder that the settings mean, and recovers what a crash left.
    ///
    /// # Errors
    /// Those of [`Directory::open`]; `unavailable` if the log cannot be read or written.
    pub fn open(settings: Settings, host: Host) -> Result<Self> {
        let directory = Directory::open(&settings.folder(&host))?;
        let shared = directory.share(|directory| Shared::open(directory, &settings))?;
        Ok(Self { shared })
    }
}

impl Shared {
    fn open(directory: Arc<Directory>, settings: &Settings) -> Result<Self> {
        let folder = directory.module("stream")?;
        let (acknowledged, noted) = Acknowledged::open(&folder)?;
        let groups = groups::read(&folder)?;
        let log = Arc::new(Log::open(&folder, noted, loss::known_to(&groups))?);
        let consumers = Arc::new(Consumers::new(Arc::new(Reader(log.clone()))));
        consumers.restore(groups);
        let retention = Retention {
            max_age_millis: settings.events_max_age_hours.saturating_mul(3_600_000),
            max_bytes: settings.events_max_mb.saturating_mul(1 << 20),
        };
        let space = Space::new(folder.clone(), settings.reserve_mb << 20);
        let writer = Writer::new(log, consumers.clone(), acknowledged, space, retention);
        let (jobs, receiver) = mpsc::channel();
        let writer = std::thread::Builder::new()
            .name("file:stream".to_owned())
            .spawn(move || writer.run(&receiver))
            .map_err(|error| {
                Error::unavailable(format!(
                    "cannot start the thread that writes to {}: {error}",
                    folder.display()
                ))
            })?;
        Ok(Self {
            consumers,
            jobs: Some(jobs),
            room: Arc::new(Semaphore::new(WAITING_KIB)),
            counted: Arc::default(),
            writer: Some(writer),
            _directory: directory,
        })
    }

    fn send(&self, job: Job) -> Result<()> {
        let jobs = self.jobs.as_ref();
        let sent = jobs.and_then(|jobs| jobs.send(job).ok());
        sent.ok_or_else(ended)
    }

    /// Writes down where groups are, if that changed since.
    async fn save_groups(&self) -> Result<()> {
        let (answer, saved) = oneshot::channel();
        self.send(Job::SaveGroups(answer))?;
        saved.await.unwrap_or_else(|_| Err(ended()))
    }
}

fn ended() -> Error {
    Error::unavailable(
        "the thread that writes events has ended; the server's log says why, start it again",
    )
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(writer) = self.writer.take() {
            // A panic of it is in the log.
            let _ = writer.join();
        }
    }
}

impl Stream for FileStream {
    async fn publish(&self, _call: &Call, events: &[NewEvent]) -> Result<Vec<String>> {
        NewEvent::validate_batch(events)?;
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let bytes: usize = events.iter().map(record::length).sum();
        let kib = u32::try_from(bytes.div_ceil(1024).min(WAITING_KIB)).unwrap_or(u32::MAX);
        let room = self.shared.room.clone().acquire_many_owned(kib).await;
        let (answer, written) = oneshot::channel();
        self.shared.send(Job::Publish(Publish {
            events: events.to_vec(),
            answer,
            _room: room.map_err(|_| ended())?,
            counted: self.shared.counted.clone(),
        }))?;
        written.await.unwrap_or_else(|_| Err(ended()))
    }

    async fn consume(
        &self,
        _call: &Call,
        topic: &str,
        options: &ConsumeOptions,
    ) -> Result<BoxStream<Result<Delivery>>> {
        let deliveries = self.shared.consumers.consume(topic, options).await?;
        if options.group.is_some() {
            // A group that was made is there after a crash: it misses nothing from here on.
            self.shared.save_groups().await?;
        }
        Ok(deliveries)
    }

    async fn settle(&self, _call: &Call, settlements: &[Settlement]) -> Result<()> {
        self.shared.consumers.settle(settlements)
    }

    async fn history(
        &self,
        _call: &Call,
        topic: &str,
        query: &HistoryQuery,
    ) -> Result<BoxStream<Result<Event>>> {
        self.shared.consumers.history(topic, query).await
    }

    async fn health(&self, _call: &Call) -> Result<()> {
        let writer = self.shared.writer.as_ref();
        match writer.is_some_and(|writer| !writer.is_finished()) {
            true => Ok(()),
            false => Err(ended()),
        }
    }

    async fn shutdown(&self, _call: &Call) -> Result<()> {
        self.shared.save_groups().await
    }
}
