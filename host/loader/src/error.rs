//! Why a plugin is not loaded: each refusal is one line with the plugin, the reason, the remedy.

use std::{io, path::PathBuf, time::Duration};

use micro_plugin_api::{
    __abi::{API_VERSION, TARGET, schema::Problem},
    Code, Error,
};

/// A plugin that is not loaded or not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// There is no library of that name.
    #[error(
        "plugin {plugin}: not found; looked for {} in {}; build or install it, or say where it is with plugins.{plugin}.path or MICRO_PLUGIN_PATH",
        files.join(" and "), list(looked)
    )]
    NotFound {
        /// The name.
        plugin: String,
        /// The names of the file that were looked for.
        files: Vec<String>,
        /// The folders, in order.
        looked: Vec<PathBuf>,
    },
    /// A name that cannot be part of a file's name.
    #[error("plugin {plugin:?}: not a plugin's name; use letters, digits, - and _")]
    BadName {
        /// The name.
        plugin: String,
    },
    /// The file cannot be read.
    #[error("plugin {plugin}: cannot read {}: {source}; correct the path or the permissions", path.display())]
    Unreadable {
        /// The plugin.
        plugin: String,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A folder, a pipe, a device.
    #[error("plugin {plugin}: {} is not a regular file; name the library itself", path.display())]
    NotRegular {
        /// The plugin.
        plugin: String,
        /// The file.
        path: PathBuf,
    },
    /// Not an ELF shared library, or one that makes no sense.
    #[error("plugin {plugin}: {} is not a library ({reason}); name the .so file that `cargo build` made of a crate with crate-type cdylib", path.display())]
    NotLibrary {
        /// The plugin.
        plugin: String,
        /// The file.
        path: PathBuf,
        /// What about it.
        reason: String,
    },
    /// A library that is no plugin.
    #[error("plugin {plugin}: {} is a library but no micro plugin ({reason}); its crate must use export_plugin! of micro-plugin-api", path.display())]
    NotPlugin {
        /// The plugin.
        plugin: String,
        /// The file.
        path: PathBuf,
        /// What about it.
        reason: String,
    },
    /// The file ends before its contents do.
    #[error("plugin {plugin}: {} is truncated: it has {size} bytes and its headers speak of {expected}; copy or build it again", path.display())]
    Truncated {
        /// The plugin.
        plugin: String,
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
        /// The size that it must have at least.
        expected: u64,
    },
    /// A file too large to be a plugin.
    #[error("plugin {plugin}: {} has {size} bytes, more than the {limit} that a plugin may have; name the right file, or strip it", path.display())]
    TooLarge {
        /// The plugin.
        plugin: String,
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
        /// The largest size that is accepted.
        limit: u64,
    },
    /// Built for another machine or system.
    #[error(
        "plugin {plugin}: built for {found}, and this server is {TARGET}; build it with --target {TARGET}"
    )]
    Target {
        /// The plugin.
        plugin: String,
        /// Its target.
        found: String,
    },
    /// Built for another version of the contract.
    #[error(
        "plugin {plugin}: speaks version {found} of the plugin API, and this server {API_VERSION}; build it against a micro-plugin-api of the same major version"
    )]
    Api {
        /// The plugin.
        plugin: String,
        /// Its version of the API.
        found: String,
    },
    /// Its panics would end the server.
    #[error(
        "plugin {plugin}: built with panic = {found:?}, so that a panic of it would end the server; build it with panic = \"unwind\""
    )]
    Panic {
        /// The plugin.
        plugin: String,
        /// Its panic strategy.
        found: String,
    },
    /// Built with a compiler that is known to miscompile plugins.
    #[error(
        "plugin {plugin}: built with rustc {found}, which can emit broken function tables; build it with another version"
    )]
    Compiler {
        /// The plugin.
        plugin: String,
        /// The version of the compiler.
        found: String,
    },
    /// Not the file that was pinned.
    #[error("plugin {plugin}: the sha256 of {} is {found}, and the profile pins {expected}; restore the file, or correct plugins.{plugin}.sha256 if the change is wanted", path.display())]
    Sha256 {
        /// The plugin.
        plugin: String,
        /// The file.
        path: PathBuf,
        /// The pinned hash.
        expected: String,
        /// The file's.
        found: String,
    },
    /// Somebody else could replace it.
    #[error("plugin {plugin}: {} can be written to by others (mode {mode:03o}), who could then run code in this server; chmod go-w {}", path.display(), path.display())]
    Writable {
        /// The plugin.
        plugin: String,
        /// The file, or the folder above it.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Somebody else owns it.
    #[error("plugin {plugin}: {} belongs to user {owner}, who could replace it; chown it to root or to the user of this server", path.display())]
    Owner {
        /// The plugin.
        plugin: String,
        /// The file, or the folder above it.
        path: PathBuf,
        /// The user's id.
        owner: u32,
    },
    /// The private copy could not be made.
    #[error("plugin {plugin}: cannot copy it to {}: {source}; make room there or choose another folder with MICRO_STATE", path.display())]
    Stage {
        /// The plugin.
        plugin: String,
        /// The folder of the copies, or the copy.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The system's loader refuses it.
    #[error(
        "plugin {plugin}: the system cannot load it: {reason}; install the libraries that it needs, or build it on this system"
    )]
    System {
        /// The plugin.
        plugin: String,
        /// What the loader says.
        reason: String,
    },
    /// Its interfaces are not the ones of this server.
    #[error("plugin {plugin}: {reason}; build it again against this server's micro-plugin-api")]
    Abi {
        /// The plugin.
        plugin: String,
        /// What about it.
        reason: String,
    },
    /// Settings that the plugin does not have or that are missing, or of the wrong type or value.
    #[error("plugin {plugin}: {}; correct its settings", problems_of(problems))]
    Settings {
        /// The plugin.
        plugin: String,
        /// What is wrong with which, at least one; the key is empty if the plugin did not say.
        problems: Vec<Problem>,
    },
    /// It did not open in time.
    #[error("plugin {plugin}: not open after {} s; see that what it connects to answers, and try again", deadline.as_secs_f32())]
    OpenTimeout {
        /// The plugin.
        plugin: String,
        /// How long it had.
        deadline: Duration,
    },
    /// It panicked while it opened.
    #[error(
        "plugin {plugin}: panicked while it opened ({reason}); this is a fault in the plugin, report it to its author"
    )]
    OpenPanic {
        /// The plugin.
        plugin: String,
        /// What the panic said.
        reason: String,
    },
    /// It refused to open.
    #[error("plugin {plugin}: cannot open: {source}")]
    Open {
        /// The plugin.
        plugin: String,
        /// The plugin's error.
        source: Error,
    },
    /// It did not shut down in time, or failed to.
    #[error(
        "plugin {plugin}: did not shut down: {reason}; what it had not written yet may be lost"
    )]
    Shutdown {
        /// The plugin.
        plugin: String,
        /// What happened.
        reason: String,
    },
}

fn list(folders: &[PathBuf]) -> String {
    if folders.is_empty() {
        return "no folder".to_owned();
    }
    let folders: Vec<_> = folders.iter().map(|f| f.display().to_string()).collect();
    folders.join(", ")
}

fn problems_of(problems: &[Problem]) -> String {
    let problems = problems.iter().map(|problem| match problem.key.as_str() {
        "" => problem.message.clone(),
        key => format!("{key}: {}", problem.message),
    });
    problems.collect::<Vec<_>>().join("; ")
}

impl LoadError {
    /// Whether the same may succeed later, with nothing changed here: what the plugin stands on
    /// does not answer.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Open { source, .. } => {
                source.is_retryable() || matches!(source.code(), Code::UNAVAILABLE | Code::DEADLINE)
            }
            Self::OpenTimeout { .. } => true,
            _ => false,
        }
    }

    /// Of what the plugin answered when it was opened.
    pub(crate) fn open(plugin: &str, error: Error) -> Self {
        let plugin = plugin.to_owned();
        let reason = error.message().to_owned();
        if error.code() == Code::PANIC {
            return Self::OpenPanic { plugin, reason };
        }
        let detail = error
            .detail()
            .and_then(|detail| serde_json::from_str::<serde_json::Value>(detail).ok())
            .unwrap_or_default();
        match detail["setting"].as_str() {
            Some(key) => Self::Settings {
                plugin,
                problems: vec![Problem {
                    key: key.to_owned(),
                    message: reason,
                }],
            },
            None => Self::Open {
                plugin,
                source: error,
            },
        }
    }
}
