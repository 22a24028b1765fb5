//! Why a server could not be had.

use std::{io, path::PathBuf, time::Duration};

use crate::{Program, install_line};

/// Why a server could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its program is not on this machine.
    #[error(
        "{} is not installed; install it with `{}`, or put it on PATH",
        .0.name(),
        install_line(&[*.0])
    )]
    Missing(Program),
    /// The machine refuses something.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// What came of it.
        source: io::Error,
    },
    /// A program ended that should have run on, or failed.
    #[error("{program} ended with {status}:\n{output}")]
    Ended {
        /// The program.
        program: PathBuf,
        /// How it ended.
        status: String,
        /// The last of what it printed.
        output: String,
    },
    /// A server runs and does not answer.
    #[error("{program} does not answer within {waited:?}:\n{output}")]
    Silent {
        /// The program.
        program: PathBuf,
        /// How long it was given.
        waited: Duration,
        /// The last of what it printed.
        output: String,
    },
    /// A server answered a request of the set-up with a refusal.
    #[error("{what} was refused: {answer}")]
    Refused {
        /// What was asked for.
        what: String,
        /// The answer.
        answer: String,
    },
    /// No certificate could be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
}

/// Says of an error of the system what was tried.
pub(crate) trait Doing<T> {
    /// `what` completes the sentence "cannot …".
    fn doing(self, what: impl Into<String>) -> Result<T, Error>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, what: impl Into<String>) -> Result<T, Error> {
        self.map_err(|source| Error::System {
            what: what.into(),
            source: source.into(),
        })
    }
}
