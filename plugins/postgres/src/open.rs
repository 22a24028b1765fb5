//! An instance: the database, and the tasks that work on it in the background.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use micro_plugin_api::{Call, Error, Host, Result};
use tokio::{
    task::JoinSet,
    time::{timeout, timeout_at},
};

use crate::{
    Settings,
    database::Database,
    error::Kind,
    store::{Watching, Writer},
    sweep,
};

/// How long opening waits for the database. One that is down comes later; one that answers is
/// known to be the right one before anything else starts.
const PATIENCE: Duration = Duration::from_secs(4);

/// Records and blobs in a PostgreSQL database.
pub struct Postgres {
    pub(crate) database: Arc<Database>,
    pub(crate) writer: Writer,
    pub(crate) watching: Arc<Watching>,
    /// They end with the instance, at the latest.
    tasks: Mutex<Tasks>,
}

#[derive(Default)]
struct Tasks {
    writing: JoinSet<()>,
    others: JoinSet<()>,
}

impl Postgres {
    /// Opens the database that the settings mean, and brings its tables up to date. One that
    /// cannot be reached is no error: that is done at the first connection then.
    ///
    /// # Errors
    /// `invalid` for settings that make no sense, and when the database answers that it knows no
    /// such account or database, or has tables of a newer version.
    pub async fn open(settings: Settings, _: Host) -> Result<Self> {
        let database = Database::new(&settings)?;
        if let Ok(Err(failure)) = timeout(PATIENCE, database.attempt(&crate::store::Probe)).await
            && failure.kind == Kind::Refused
        {
            let error = failure.to_error(database.name());
            return Err(Error::invalid(error.message()));
        }
        let mut tasks = Tasks::default();
        let watching = Watching::new(database.clone());
        let (writer, writing) = Writer::new(database.clone(), watching.clone());
        tasks.writing.spawn(writing);
        let interval = settings.watch_interval.duration();
        tasks.others.spawn(watching.clone().work(interval));
        let interval = settings.sweep_interval.duration();
        tasks.others.spawn(sweep::run(database.clone(), interval));
        Ok(Self {
            database,
            writer,
            watching,
            tasks: Mutex::new(tasks),
        })
    }

    /// Finishes the commits that are under way, ends what works in the background and closes what
    /// is idle. Both modules of an instance end together, so doing it twice is fine.
    pub(crate) async fn close(&self, call: &Call) {
        self.watching.end();
        self.writer.close();
        let mut tasks =
            std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let until = self.database.until(call).into();
        let finished = async { while tasks.writing.join_next().await.is_some() {} };
        if timeout_at(until, finished).await.is_err() {
            tracing::warn!("{}: commits under way were given up", self.database.name());
        }
        tasks.writing.shutdown().await;
        tasks.others.shutdown().await;
        self.database.close_idle().await;
    }
}
