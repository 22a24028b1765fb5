//! Connections for many calls: so many at a time, the last used first.
//!
//! The pool of the driver takes a connection back from whoever drops it and asks the server whether
//! it is still sound, for which a server that hangs may take for ever. Here only a connection that
//! was left in order comes back; any other is closed, with whatever it was in the middle of.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sqlx::{ConnectOptions as _, Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use crate::error::{Failure, Kind};

/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(1);

pub(crate) struct Pool {
    options: PgConnectOptions,
    permits: Semaphore,
    idle: Mutex<Vec<Idle>>,
    idle_timeout: Duration,
    max_lifetime: Duration,
}

struct Idle {
    connection: PgConnection,
    made: Instant,
    since: Instant,
}

/// A connection, until it is kept or dropped.
pub(crate) struct Lease<'a> {
    connection: PgConnection,
    made: Instant,
    pool: &'a Pool,
    _permit: SemaphorePermit<'a>,
}

impl Pool {
    pub(crate) fn new(
        options: PgConnectOptions,
        connections: u32,
        idle_timeout: Duration,
        max_lifetime: Duration,
    ) -> Self {
        Self {
            options,
            permits: Semaphore::new(connections.try_into().unwrap_or(usize::MAX)),
            idle: Mutex::default(),
            idle_timeout,
            max_lifetime,
        }
    }

    /// A connection: one that is idle, or a new one. Waiting for one that others use may take
    /// `patience`, and so may making one.
    pub(crate) async fn lease(&self, patience: Duration) -> Result<Lease<'_>, Failure> {
        let Ok(Ok(permit)) = timeout(patience, self.permits.acquire()).await else {
            return Err(Failure::new(
                Kind::Exhausted,
                format!(
                    "all connections were in use for {patience:?}; see the setting `max_connections`"
                ),
            ));
        };
        let (connection, made) = match self.take() {
            Some(idle) => (idle.connection, idle.made),
            None => (self.connect(patience).await?, Instant::now()),
        };
        Ok(Lease {
            connection,
            made,
            pool: self,
            _permit: permit,
        })
    }

    async fn connect(&self, patience: Duration) -> Result<PgConnection, Failure> {
        match timeout(patience, self.options.connect()).await {
            Ok(connected) => Ok(connected?),
            Err(_) => Err(Failure::new(
                Kind::Unreachable,
                format!("no connection within {patience:?}"),
            )),
        }
    }

    fn take(&self) -> Option<Idle> {
        let mut idle = self.idle();
        idle.retain(|idle| {
            idle.since.elapsed() < self.idle_timeout && idle.made.elapsed() < self.max_lifetime
        });
        idle.pop()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of the connections that nobody uses, without a farewell.
    pub(crate) fn forget_idle(&self) {
        let forgotten = std::mem::take(&mut *self.idle());
        drop(forgotten);
    }

    /// Closes the connections that nobody uses.
    pub(crate) async fn close_idle(&self) {
        let idle = std::mem::take(&mut *self.idle());
        for idle in idle {
            // The server finds out by itself if the farewell does not come through.
            let _ = timeout(FAREWELL, idle.connection.close()).await;
        }
    }
}

impl Lease<'_> {
    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// Gives the connection back, in order, for others to use.
    pub(crate) fn keep(self) {
        let idle = Idle {
            connection: self.connection,
            made: self.made,
            since: Instant::now(),
        };
        self.pool.idle().push(idle);
    }
}
