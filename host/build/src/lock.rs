//! One build at a time in a cache, across processes.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    path::Path,
    time::Duration,
};

use crate::{BuildError, LineSink};

/// How often a lock that another holds is tried again. Waiting in a blocking call could not be
/// cancelled.
const RETRY: Duration = Duration::from_millis(100);

/// Holds the lock of a cache until it is dropped.
#[derive(Debug)]
pub(crate) struct CacheLock {
    _file: File,
}

impl CacheLock {
    /// Waits for the lock of `cache`, saying once that it does.
    pub(crate) async fn acquire(cache: &Path, lines: &dyn LineSink) -> Result<Self, BuildError> {
        fs::create_dir_all(cache).map_err(|error| BuildError::io("cannot create", cache, error))?;
        let path = cache.join("lock");
        let failed = |error| BuildError::io("cannot lock", &path, error);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(failed)?;
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
                Err(TryLockError::WouldBlock) => {}
            }
            if !told {
                lines.line("Waiting for another build to finish");
                told = true;
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}
