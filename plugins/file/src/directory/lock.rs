//! The lock of a folder: one process holds it, and the file says which.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use micro_plugin_api::{Error, Result};
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::failed;

/// The name of the file in its folder.
const NAME: &str = "LOCK";

/// A lock that is held.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// What the file says of whoever holds the lock.
#[derive(Serialize, Deserialize)]
struct Owner {
    pid: u32,
    host: String,
    since: String,
}

impl Lock {
    /// Takes the lock of `folder`.
    ///
    /// # Errors
    /// `unavailable` if another process has it, naming that.
    pub(super) fn acquire(folder: &Path) -> Result<Self> {
        let path = folder.join(NAME);
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path);
        let mut file = opened.map_err(|error| failed("open", &path, &error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(owned_by_another(folder, &path)),
            Err(TryLockError::Error(error)) => return Err(failed("lock", &path, &error)),
        }
        // Whoever reads it meanwhile is told of the owner before; that is why the lock decides.
        write(&mut file).map_err(|error| failed("write", &path, &error))?;
        Ok(Self { _file: file })
    }
}

fn write(file: &mut File) -> io::Result<()> {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let owner = Owner {
        pid: std::process::id(),
        host: host.trim().to_owned(),
        since: OffsetDateTime::now_utc()
            .replace_nanosecond(0)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
            .format(&Rfc3339)
            .unwrap_or_default(),
    };
    let text = serde_json::to_string(&owner)?;
    file.set_len(0)?;
    file.write_all(text.as_bytes())
}

fn owned_by_another(folder: &Path, path: &Path) -> Error {
    let owner = fs::read_to_string(path)
        .ok()
        .and_then(|text| serde_json::from_str::<Owner>(&text).ok());
    let who = owner.map_or_else(
        || "another process".to_owned(),
        |owner| {
            format!(
                "process {} on {}, since {}",
                owner.pid, owner.host, owner.since
            )
        },
    );
    Error::unavailable(format!(
        "the folder {} belongs to {who}; stop that server, or give this one another folder with \
         `dir` or MICRO_STATE",
        folder.display()
    ))
}
