//! The database as the modules use it: work on a connection, bounded in time, tried again while
//! that may help.

mod pool;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use micro_plugin_api::{Backoff, Call, Error, Result};
use sqlx::PgConnection;
use tokio::{
    sync::OnceCell,
    time::{sleep, timeout_at},
};

pub(crate) use self::pool::{Lease, Pool};
use crate::{
    Settings,
    connect::Target,
    error::{Failure, Kind},
    migrate,
};

/// The pauses between attempts of one kind.
pub(crate) const fn backoff() -> Backoff {
    Backoff::new(Duration::from_millis(20), Duration::from_secs(1))
}

/// Statements that belong together. They may run more than once, if the connection breaks.
pub(crate) trait Work: Sync {
    /// What they bring.
    type Output: Send;

    /// Runs them. A transaction that they begin they end, unless they fail.
    fn run(
        &self,
        connection: &mut PgConnection,
    ) -> impl Future<Output = sqlx::Result<Self::Output>> + Send;
}

/// The database of an instance.
pub(crate) struct Database {
    /// For reads, blobs and housekeeping.
    pool: Pool,
    /// For commits, which go through one connection: they must not wait behind reads.
    writing: Pool,
    target: Target,
    schema: String,
    migrated: OnceCell<()>,
    timeout: Duration,
    connect_timeout: Duration,
    /// Why the last attempt failed, for those who were kept waiting until they gave up.
    trouble: Mutex<Option<String>>,
    in_trouble: AtomicBool,
}

/// What is taken off a deadline, so that the answer is there in time: at most this, and a tenth.
const MARGIN: Duration = Duration::from_millis(100);

impl Database {
    pub(crate) fn new(settings: &Settings) -> Result<Arc<Self>> {
        settings.validate()?;
        let target = Target::new(settings)?;
        let pool = |connections| {
            Pool::new(
                target.options().clone(),
                connections,
                settings.idle_timeout.duration(),
                settings.max_lifetime.duration(),
            )
        };
        Ok(Arc::new(Self {
            pool: pool(settings.max_connections - 1),
            writing: pool(1),
            schema: settings.schema.clone(),
            migrated: OnceCell::new(),
            timeout: settings.timeout.duration(),
            connect_timeout: settings.connect_timeout.duration(),
            trouble: Mutex::default(),
            in_trouble: AtomicBool::new(false),
            target,
        }))
    }

    /// What errors and logs call it.
    pub(crate) fn name(&self) -> &str {
        &self.target.name
    }

    /// When the answer to a call must be there: a little before its deadline, since whoever waits
    /// for it stops then.
    pub(crate) fn until(&self, call: &Call) -> Instant {
        let now = Instant::now();
        match call.remaining() {
            Some(left) => now + left - (left / 10).min(MARGIN),
            None => now + self.timeout,
        }
    }

    /// When work must be done that nobody gave a deadline, and each attempt at what many wait for.
    pub(crate) fn default_until(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// Does work for a call.
    pub(crate) async fn run<W: Work>(&self, call: &Call, work: &W) -> Result<W::Output> {
        self.run_until(self.until(call), work).await
    }

    /// Does work until it succeeds, fails for good, or `until` has come. While the server cannot
    /// be reached it goes on trying for as long as a call waits for a connection.
    pub(crate) async fn run_until<W: Work>(&self, until: Instant, work: &W) -> Result<W::Output> {
        let trying = async {
            let begun = Instant::now();
            let mut waits = backoff();
            loop {
                let failure = match self.attempt(work).await {
                    Ok(output) => return Ok(output),
                    Err(failure) => failure,
                };
                let goes_on = match failure.kind {
                    Kind::Unreachable => begun.elapsed() < self.connect_timeout,
                    Kind::Contended => true,
                    Kind::Exhausted | Kind::Refused | Kind::Broken => false,
                };
                if !goes_on {
                    return Err(failure.to_error(self.name()));
                }
                sleep(waits.next_wait()).await;
            }
        };
        match timeout_at(until.into(), trying).await {
            Ok(outcome) => outcome,
            Err(_) => Err(self.no_answer()),
        }
    }

    /// Does work once.
    pub(crate) async fn attempt<W: Work>(&self, work: &W) -> Result<W::Output, Failure> {
        let mut lease = self.lease(&self.pool).await?;
        match work.run(lease.connection()).await {
            Ok(output) => {
                lease.keep();
                self.well();
                Ok(output)
            }
            Err(error) => {
                let failure = Failure::from(error);
                self.note(&failure);
                // Whatever the connection is in the middle of goes with it. If the server went
                // away, those that are idle broke as well.
                drop(lease);
                if failure.kind == Kind::Unreachable {
                    self.pool.forget_idle();
                }
                Err(failure)
            }
        }
    }

    /// The connection for commits. Its user says with [`Lease::keep`] that it may be used again.
    pub(crate) async fn writer(&self) -> Result<Lease<'_>, Failure> {
        self.lease(&self.writing).await
    }

    async fn lease<'a>(&'a self, pool: &'a Pool) -> Result<Lease<'a>, Failure> {
        let leased: Result<_, Failure> = async {
            let mut lease = pool.lease(self.connect_timeout).await?;
            let connection = lease.connection();
            self.migrated
                .get_or_try_init(move || migrate::run(connection, &self.schema))
                .await?;
            Ok(lease)
        }
        .await;
        leased.inspect_err(|failure| self.note(failure))
    }

    /// Keeps in mind why an attempt failed, and says so once.
    pub(crate) fn note(&self, failure: &Failure) {
        let text = failure.to_string();
        if failure.kind == Kind::Unreachable && !self.in_trouble.swap(true, Ordering::Relaxed) {
            tracing::warn!("{}: {text}; calls fail until it answers", self.name());
        }
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }

    /// Work has been done, so that whatever was the matter is over.
    pub(crate) fn well(&self) {
        if self.in_trouble.swap(false, Ordering::Relaxed) {
            tracing::info!("{}: it answers again", self.name());
        }
    }

    /// What is told whoever waited in vain.
    pub(crate) fn no_answer(&self) -> Error {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let last = match &*trouble {
            Some(text) if self.in_trouble.load(Ordering::Relaxed) => format!(" ({text})"),
            _ => String::new(),
        };
        Error::unavailable(format!(
            "{}: no answer in time{last}; see that it runs and is not overloaded",
            self.name()
        ))
    }

    /// Closes the connections that nobody uses.
    pub(crate) async fn close_idle(&self) {
        self.pool.close_idle().await;
        self.writing.close_idle().await;
    }
}
