//! An instance: the database, and the tasks that work on it in the background.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use micro_plugin_api::{Host, Result};
use tokio::{task::JoinSet, time::timeout};

use crate::{
    Settings,
    database::Database,
    error::Kind,
    store::{Watching, Writer},
    sweep,
};

/// How long opening waits for the database. One that is down comes later; one that answers is
/// known to be the right one before anything else starts.
const PATIENCE: Duration = Duration::from_secs(2);

/// Records and blobs in a PostgreSQL database.
pub struct Postgres {
    pub(crate) database: Arc<Database>,
    pub(crate) writer: Writer,
    pub(crate) watching: Arc<Watching>,
    /// They end with the instance, at the latest.
    tasks: Mutex<JoinSet<()>>,
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
            return Err(micro_plugin_api::Error::invalid(error.message()));
        }
        let mut tasks = JoinSet::new();
        let watching = Watching::new(database.clone());
        let (writer, writing) = Writer::new(database.clone(), watching.clone());
        tasks.spawn(writing);
        tasks.spawn(watching.clone().work(settings.watch_interval.duration()));
        tasks.spawn(sweep::run(
            database.clone(),
            settings.sweep_interval.duration(),
        ));
        Ok(Self {
            database,
            writer,
            watching,
            tasks: Mutex::new(tasks),
        })
    }

    /// Ends what works in the background and closes what is idle. Both modules of an instance end
    /// together, and calls after that still work, so doing it twice is fine.
    pub(crate) async fn close(&self) {
        self.watching.end();
        let mut tasks = std::mem::take(
            &mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner),
        );
        tasks.shutdown().await;
        self.database.close_idle().await;
    }
}
