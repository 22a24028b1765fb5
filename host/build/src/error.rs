//! Why a source could not be turned into something that runs.

use std::{io, path::PathBuf, time::Duration};

/// Why a build failed. Each says what to change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// There is nothing that could be built or run.
    #[error(
        "nothing to run: the folder has no Cargo.toml, no micro.toml with a `run` command and no executable file at its top"
    )]
    NothingToRun,
    /// There are several executable files and no way to tell which one is meant.
    #[error("more than one executable file: {}; call one of them `run`, or name it in micro.toml", names.join(", "))]
    SeveralExecutables {
        /// Their names.
        names: Vec<String>,
    },
    /// There is one file, and it may not be executed.
    #[error("{name} is not executable; set its mode with chmod +x")]
    NotExecutable {
        /// Its name.
        name: String,
    },
    /// `micro.toml` or a `Cargo.toml` cannot be understood.
    #[error("{file}: {reason}")]
    Manifest {
        /// The file, relative to the source.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A manifest points to something that is not part of the source.
    #[error(
        "{file}: {what} is at {path}, outside the uploaded folder; move it inside, or depend on it by version or git"
    )]
    Outside {
        /// The manifest, relative to the source.
        file: String,
        /// What points there, for example ``dependency `shared` ``.
        what: String,
        /// The path as it was written.
        path: String,
    },
    /// The package has no program, or more than one.
    #[error("{0}")]
    Binary(String),
    /// A tool is not installed.
    #[error("{tool} is not installed where the server can find it; {remedy}")]
    MissingTool {
        /// The tool.
        tool: String,
        /// What to do.
        remedy: String,
    },
    /// The compiler or the build command refused.
    #[error("{what} failed ({status})")]
    Failed {
        /// What ran.
        what: String,
        /// How it ended.
        status: String,
        /// The last lines that it printed, oldest first.
        output: Vec<String>,
    },
    /// It took too long.
    #[error(
        "the build was stopped after {} s, which is all that it may take; run it again to go on where \
         it stopped, or give the server a longer MICRO_BUILD_TIMEOUT",
        after.as_secs()
    )]
    TimedOut {
        /// How long it was given.
        after: Duration,
        /// The last lines that it printed, oldest first.
        output: Vec<String>,
    },
    /// A file could not be read or written.
    #[error("{what} {}: {error}", path.display())]
    Io {
        /// What was tried, for example `cannot write`.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

impl BuildError {
    /// The last lines that the compiler printed; empty if it never ran.
    pub fn output(&self) -> &[String] {
        match self {
            Self::Failed { output, .. } | Self::TimedOut { output, .. } => output,
            _ => &[],
        }
    }

    pub(crate) fn io(what: &'static str, path: impl Into<PathBuf>, error: io::Error) -> Self {
        Self::Io {
            what,
            path: path.into(),
            error,
        }
    }
}
