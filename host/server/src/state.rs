//! The folder in which a server keeps what is its own.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use uuid::Uuid;

use crate::ServerError;

/// The state folder, held by this server alone as long as this lives: two servers that take each
/// other's services for their own would end them.
#[derive(Debug)]
pub(crate) struct State {
    folder: PathBuf,
    id: String,
    _lock: File,
}

impl State {
    /// Opens the folder, or makes it, for its owner alone.
    pub(crate) fn open(folder: &Path) -> Result<Self, ServerError> {
        let failed = |action, path: &Path| {
            let path = path.to_owned();
            move |source| ServerError::File {
                action,
                path,
                source,
            }
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(failed("make the state folder", folder))?;
        // Services start in folders of their own: what is handed to them must not be relative.
        let folder = folder
            .canonicalize()
            .map_err(failed("open the state folder", folder))?;
        let path = folder.join("lock");
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed("open the lock", &path))?;
        match lock.try_lock() {
            Ok(()) => {
                // For whoever finds the folder in use; a full disk keeps nobody from owning it.
                let said = lock
                    .set_len(0)
                    .and_then(|()| write!(lock, "{}", std::process::id()));
                if let Err(error) = said {
                    tracing::warn!(path = %path.display(), "cannot write who holds the lock: {error}");
                }
                let path = folder.join("id");
                let id = id(&path).map_err(failed("keep the server's id", &path))?;
                Ok(Self {
                    folder,
                    id,
                    _lock: lock,
                })
            }
            Err(TryLockError::WouldBlock) => {
                let owner = fs::read_to_string(&path).unwrap_or_default();
                Err(ServerError::StateInUse {
                    folder,
                    owner: owner.parse().ok(),
                })
            }
            Err(TryLockError::Error(source)) => Err(failed("lock", &path)(source)),
        }
    }

    /// The folder, absolute.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the server over this folder is called, today and ever after.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }
}

/// The id in the file `path`; a new one if it holds none.
fn id(path: &Path) -> io::Result<String> {
    match fs::read_to_string(path) {
        Ok(id) if Uuid::parse_str(&id).is_ok() => return Ok(id),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let id = Uuid::now_v7().to_string();
    // Whole or not at all: half an id would be another server's.
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(id.as_bytes())?;
    file.sync_all()?;
    fs::rename(new, path)?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_folder_is_its_owners_and_one_servers() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = home.path().join(".micro/server");
        let state = State::open(&folder).expect("a state");
        for made in [home.path().join(".micro"), folder.clone()] {
            let mode = fs::metadata(made).expect("a folder").permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
        }
        let error = State::open(&folder).expect_err("held");
        let owner = format!(
            "is in use by another server (process {}); stop that one or set --state",
            std::process::id()
        );
        assert!(error.to_string().ends_with(&owner), "{error}");
        let id = state.id().to_owned();
        drop(state);
        let again = State::open(&folder).expect("free again");
        assert_eq!(again.id(), id);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let folder = file.path().join("state");
        let error = State::open(&folder).expect_err("below a file").to_string();
        assert!(error.contains(&folder.display().to_string()), "{error}");
    }
}
