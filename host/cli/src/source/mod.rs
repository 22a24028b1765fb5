//! What `micro run` uploads: the files of a folder, or one executable file, as a tar archive.

mod archive;
mod plan;
#[cfg(test)]
mod tests;

use std::{io, path::PathBuf};

pub(crate) use plan::Plan;

/// Why a source cannot be packed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    #[error("{} does not exist", .0.display())]
    NotFound(PathBuf),
    #[error("{} holds no files to run, or .gitignore excludes them all", .0.display())]
    Empty(PathBuf),
    #[error("{} is neither a program nor a script that begins with #!", .0.display())]
    NotExecutable(PathBuf),
    #[error("{} is neither a folder nor a file", .0.display())]
    Special(PathBuf),
    #[error("cannot read {}: {error}", path.display())]
    Read { path: PathBuf, error: io::Error },
    #[error("{} changed while it was being packed; try again", .0.display())]
    Changed(PathBuf),
    #[error("{0}")]
    Walk(String),
}

impl SourceError {
    fn read(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |error| match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound(path),
            _ => Self::Read { path, error },
        }
    }
}
