//! Looks whether the disk has room, before the engine finds out: it must always be able to put
//! what it has in memory into files.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use micro_plugin_api::{Error, Result};
use nix::sys::statvfs::statvfs;

/// How long an answer of the system holds.
const HOLDS: Duration = Duration::from_millis(200);

/// How many bytes may be written on one answer.
const WRITTEN: usize = 4 << 20;

/// Of a small disk, at most such a part is left free.
const PART: u64 = 10;

/// The free space of the disk that a folder is on.
#[derive(Debug)]
pub(crate) struct Space {
    folder: PathBuf,
    reserve: u64,
    /// When it was enough last, and what was written since.
    enough: Option<(Instant, usize)>,
    /// Whether the log says that the disk is full.
    told: bool,
}

impl Space {
    /// Of the disk that `folder` is on, `reserve` bytes are to stay free.
    pub(crate) fn new(folder: PathBuf, reserve: u64) -> Self {
        Self {
            folder,
            reserve,
            enough: None,
            told: false,
        }
    }

    /// Whether there is room to write so many bytes.
    ///
    /// # Errors
    /// `unavailable` if there is not, saying where and what to do.
    pub(crate) fn check(&mut self, bytes: usize) -> Result<()> {
        if let Some((since, written)) = &mut self.enough
            && since.elapsed() < HOLDS
            && written.saturating_add(bytes) < WRITTEN
        {
            *written += bytes;
            return Ok(());
        }
        self.enough = None;
        let Ok(system) = statvfs(&self.folder) else {
            // Whether writing works is then seen by writing.
            return Ok(());
        };
        let unit = system.fragment_size();
        let free = system.blocks_available().saturating_mul(unit);
        let all = system.blocks().saturating_mul(unit);
        let reserve = self.reserve.min(all / PART);
        if free < reserve.saturating_add(bytes as u64) {
            let error = Error::unavailable(format!(
                "the disk of {} is full: {} MiB are free, of which {} MiB are kept for what was \
                 written already; reading goes on, and writing once there is space: free some, or \
                 lower `reserve_mb`",
                self.folder.display(),
                free >> 20,
                reserve >> 20
            ));
            if !self.told {
                tracing::error!(%error, "nothing is written for now");
                self.told = true;
            }
            return Err(error);
        }
        if self.told {
            tracing::info!(
                "there is space again on the disk of {}",
                self.folder.display()
            );
            self.told = false;
        }
        self.enough = Some((Instant::now(), bytes));
        Ok(())
    }
}
