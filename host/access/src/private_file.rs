//! A file with a secret of the server's own: for its owner alone, made whole when it is missing.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use uuid::Uuid;
use zeroize::Zeroizing;

/// Where a secret is, and what it is called in errors.
#[derive(Clone, Copy, Debug)]
pub struct PrivateFile<'a> {
    what: &'static str,
    path: &'a Path,
}

/// Why a file with a secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PrivateFileError {
    /// The file cannot be read or made.
    #[error("cannot {action} the {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// What is in it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Others than its owner may read or write the file.
    #[error("the {what} {} is open to other users; run: chmod 600 {}", path.display(), path.display())]
    Exposed {
        /// What is in it.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
}

impl<'a> PrivateFile<'a> {
    /// The file at `path`, which holds a `what` ("signing key").
    pub fn new(what: &'static str, path: &'a Path) -> Self {
        Self { what, path }
    }

    /// What the file holds. If there is none, it is made with what `make` gives, readable by its
    /// owner alone; of several servers that start together one makes it, and all read the same.
    ///
    /// # Errors
    /// A file that cannot be read or made, or that others may read; what `make` says.
    pub fn read_or_make<E: From<PrivateFileError>>(
        &self,
        make: impl FnOnce() -> Result<Zeroizing<String>, E>,
    ) -> Result<Zeroizing<String>, E> {
        match fs::symlink_metadata(self.path) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let text = make()?;
                create(self.path, text.as_bytes()).map_err(self.failed("make"))?;
            }
            Err(error) => return Err(self.failed("read")(error).into()),
        }
        let mode = fs::metadata(self.path)
            .map_err(self.failed("read"))?
            .permissions()
            .mode();
        if mode & 0o077 != 0 {
            let (what, path) = (self.what, self.path.to_owned());
            return Err(PrivateFileError::Exposed { what, path }.into());
        }
        let text = fs::read_to_string(self.path).map_err(self.failed("read"))?;
        Ok(Zeroizing::new(text))
    }

    fn failed(&self, action: &'static str) -> impl Fn(io::Error) -> PrivateFileError {
        let (what, path) = (self.what, self.path.to_owned());
        move |source| PrivateFileError::Io {
            action,
            what,
            path: path.clone(),
            source,
        }
    }
}

/// Makes the file whole or not at all. Of several servers that start together one wins, and all
/// read what it wrote: a link, other than a rename, never replaces.
fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let draft = folder.join(format!(".{name}.{}", Uuid::now_v7()));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .and_then(|()| match fs::hard_link(&draft, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        });
    // The draft holds the same secret, so it must not stay, whatever happened.
    let removed = fs::remove_file(&draft);
    written.and(removed)
}
