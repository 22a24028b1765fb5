//! Why a server did not start, each in one line.

use std::{io, net::SocketAddr, path::PathBuf};

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The profile is wrong.
    #[error(transparent)]
    Profile(#[from] micro_profile::ProfileError),

    /// The log level is wrong.
    #[error(
        "log level `{0}` is not one: use trace, debug, info, warn, error or off, or a list such as \
         `info,micro_route=debug`"
    )]
    LogLevel(String),

    /// Somebody listens there.
    #[error("{address} is in use; stop that process or set --{flag}")]
    InUse {
        /// Where.
        address: SocketAddr,
        /// The flag that says otherwise.
        flag: &'static str,
    },

    /// Nobody can listen there.
    #[error("cannot listen on {address} (--{flag}): {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// The flag that says otherwise.
        flag: &'static str,
        /// Why not.
        source: io::Error,
    },

    /// A file or folder of the server's own cannot be used.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },

    /// Another server keeps its state there.
    #[error(
        "the state folder {} is in use by another server{}; stop that one or set --state",
        folder.display(),
        owner.map(|pid| format!(" (process {pid})")).unwrap_or_default()
    )]
    StateInUse {
        /// The folder.
        folder: PathBuf,
        /// The process id of that server, if it is known.
        owner: Option<u32>,
    },

    /// The system gives no thread.
    #[error("cannot start the thread {name}: {source}")]
    Thread {
        /// Which.
        name: String,
        /// Why not.
        source: io::Error,
    },

    /// A module cannot be opened.
    #[error(transparent)]
    Modules(Box<micro_modules::OpenError>),

    /// The store is not whole.
    #[error("{0}")]
    UnfinishedCopy(micro_plugin_api::Error),

    /// Accounts and tokens cannot be set up.
    #[error(transparent)]
    Access(#[from] micro_access::AccessError),

    /// There is no key for secrets.
    #[error(transparent)]
    ConfigKey(#[from] micro_access::ConfigKeyError),

    /// The core services do not fit together.
    #[error("the core services cannot be put together: {0}")]
    Services(#[from] micro_wire::json::MethodsError),

    /// The system does not deliver signals.
    #[error("cannot watch for signals: {0}")]
    Signals(io::Error),
}

impl From<micro_modules::OpenError> for ServerError {
    fn from(error: micro_modules::OpenError) -> Self {
        Self::Modules(Box::new(error))
    }
}
