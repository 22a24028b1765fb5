//! What every call passes on its way into a module, and what holds calls while the instance behind
//! the module is replaced.

use std::time::Duration;

use micro_plugin_api::{Call, Error, Result};
use tokio::{
    sync::{RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::{timeout, timeout_at},
};

/// The gate of one module. Open, it costs a call two atomic operations.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    all: RwLock<()>,
    writes: RwLock<()>,
}

/// Lets a call pass that changes something, or that opens a stream which moves.
pub(crate) type WritePass<'a> = (RwLockReadGuard<'a, ()>, RwLockReadGuard<'a, ()>);

impl Gate {
    /// Lets a call pass that changes nothing.
    ///
    /// # Errors
    /// `deadline` if the gate is not opened before the call's deadline.
    pub(crate) async fn read(&self, call: &Call) -> Result<RwLockReadGuard<'_, ()>> {
        pass(&self.all, call).await
    }

    /// Lets a call pass that changes something, or that opens a stream which moves with a swap.
    ///
    /// # Errors
    /// As [`Gate::read`].
    pub(crate) async fn write(&self, call: &Call) -> Result<WritePass<'_>> {
        Ok((
            pass(&self.all, call).await?,
            pass(&self.writes, call).await?,
        ))
    }

    /// Closes the gate for writes, and waits for those that are under way: `None` if they take
    /// longer than `bound`.
    pub(crate) async fn hold_writes(&self, bound: Duration) -> Option<RwLockWriteGuard<'_, ()>> {
        timeout(bound, self.writes.write()).await.ok()
    }

    /// Closes the gate for all calls, and waits for those that are under way, as
    /// [`Gate::hold_writes`] does.
    pub(crate) async fn hold_all(&self, bound: Duration) -> Option<RwLockWriteGuard<'_, ()>> {
        timeout(bound, self.all.write()).await.ok()
    }
}

async fn pass<'a>(lock: &'a RwLock<()>, call: &Call) -> Result<RwLockReadGuard<'a, ()>> {
    if let Ok(pass) = lock.try_read() {
        return Ok(pass);
    }
    let Some(deadline) = call.deadline() else {
        return Ok(lock.read().await);
    };
    let late = |_| {
        Error::deadline(
            "the call's deadline passed while the plugin behind the module was being replaced; \
             try again",
        )
    };
    timeout_at(deadline.into(), lock.read()).await.map_err(late)
}
