//! The temporary folder of a server, and the processes that work in it.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, User, chown},
};
use tempfile::TempDir;

use crate::{Error, error::Doing as _, watchdog::Watchdog};

/// A folder that goes with its owner, as do the processes whose working folder is below it: the
/// children of a server are found by that too, in whatever groups and sessions they are.
#[derive(Debug)]
pub(crate) struct Folder {
    // Dropped first: it removes what the other would.
    _watchdog: Watchdog,
    folder: TempDir,
}

impl Folder {
    /// A new folder, which an unprivileged user can reach.
    pub(crate) fn new(name: &str) -> Result<Self, Error> {
        let folder = tempfile::Builder::new()
            .prefix(&format!("micro-test-{name}-"))
            .tempdir()
            .doing("make a temporary folder")?;
        // As the links of /proc show it.
        let path = fs::canonicalize(folder.path()).doing("find the temporary folder")?;
        fs::set_permissions(&path, Permissions::from_mode(0o755))
            .doing("open the temporary folder to other users")?;
        Ok(Self {
            _watchdog: Watchdog::of(&path)?,
            folder,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A folder in it that is `owner`'s alone.
    pub(crate) fn make(&self, name: &str, owner: Option<&User>) -> Result<PathBuf, Error> {
        let path = self.path().join(name);
        fs::create_dir(&path).doing(format!("make {}", path.display()))?;
        own(&path, 0o700, owner)?;
        Ok(path)
    }

    /// A file in it that is `owner`'s alone.
    pub(crate) fn write(
        &self,
        name: &str,
        text: &str,
        owner: Option<&User>,
    ) -> Result<PathBuf, Error> {
        let path = self.path().join(name);
        fs::write(&path, text).doing(format!("write {}", path.display()))?;
        own(&path, 0o600, owner)?;
        Ok(path)
    }

    /// Sends a signal to every process that works here, until there is none that it has not
    /// reached; a killed one is gone then, but for its parent's learning of it.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), Error> {
        let mut reached = Vec::new();
        loop {
            let missed: Vec<Pid> = self
                .processes()?
                .into_iter()
                .filter(|pid| !reached.contains(pid))
                .collect();
            if missed.is_empty() {
                return Ok(());
            }
            for pid in missed {
                // One that has ended meanwhile needs none.
                let _ = kill(pid, signal);
                reached.push(pid);
            }
        }
    }

    /// The processes that work here.
    pub(crate) fn processes(&self) -> Result<Vec<Pid>, Error> {
        let here = fs::canonicalize(self.path()).doing("find the temporary folder")?;
        let entries = fs::read_dir("/proc").doing("list /proc")?;
        Ok(entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let pid = entry.file_name().to_str()?.parse().ok()?;
                let works_in = fs::read_link(entry.path().join("cwd")).ok()?;
                works_in.starts_with(&here).then(|| Pid::from_raw(pid))
            })
            .collect())
    }
}

/// Gives a path to `owner`, if it is to be somebody else's, with this mode.
fn own(path: &Path, mode: u32, owner: Option<&User>) -> Result<(), Error> {
    fs::set_permissions(path, Permissions::from_mode(mode))
        .doing(format!("set the mode of {}", path.display()))?;
    match owner {
        Some(user) => chown(path, Some(user.uid), Some(user.gid)).doing(format!(
            "give {} to {}",
            path.display(),
            user.name
        )),
        None => Ok(()),
    }
}
