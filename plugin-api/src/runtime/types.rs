//! The types of the `runtime` module. They cross the boundary as JSON documents, so that they can
//! gain fields without a new interface.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use serde::{Deserialize, Serialize};

/// Which instance: one version of one service of one namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct InstanceKey {
    /// The namespace.
    pub namespace: String,
    /// The name of the service.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl fmt::Display for InstanceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{} in {}", self.name, self.version, self.namespace)
    }
}

/// What to run. Its `Debug` output names the variables of the environment and not their values.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Spec {
    /// What it is.
    pub key: InstanceKey,
    /// The program and its arguments. A program without a `/` is looked up in the `PATH` of
    /// `env`; a relative one stands below `folder`.
    pub command: Vec<String>,
    /// The folder that it starts in.
    pub folder: PathBuf,
    /// Its whole environment: nothing else is inherited.
    pub env: BTreeMap<String, String>,
}

impl fmt::Debug for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spec")
            .field("key", &self.key)
            .field("command", &self.command)
            .field("folder", &self.folder)
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// What is known of an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Instance {
    /// What it is.
    pub key: InstanceKey,
    /// Whether it runs.
    pub state: State,
    /// The process, where the runtime has such a thing.
    pub pid: Option<u32>,
    /// When it was started: milliseconds since the Unix epoch.
    pub started_at: u64,
}

/// Whether an instance runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum State {
    /// It runs.
    #[default]
    Running,
    /// It ended by itself.
    Exited(Exit),
}

/// How a program ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Exit {
    /// Its exit code, if it exited.
    pub code: Option<i32>,
    /// The number of the signal that ended it, if one did.
    pub signal: Option<i32>,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(f, "exit status {code}"),
            (None, Some(signal)) => write!(f, "killed by signal {signal}"),
            (None, None) => f.write_str("ended"),
        }
    }
}

/// How to end an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopOptions {
    /// How long it may take to end by itself, in milliseconds, before it is killed.
    pub grace_ms: u64,
}

impl Default for StopOptions {
    /// Ten seconds.
    fn default() -> Self {
        Self { grace_ms: 10_000 }
    }
}

/// Which lines of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogOptions {
    /// The last so many lines; `None` for all.
    pub tail: Option<u64>,
    /// Whether to go on with lines as they are printed, until the stream is dropped.
    pub follow: bool,
}

/// One line that a program printed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogLine {
    /// The line, without its end.
    pub text: String,
    /// When it was printed, in milliseconds since the Unix epoch, where the runtime knows.
    pub timestamp: Option<u64>,
}

/// What a watch brings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "instance", rename_all = "snake_case")]
#[non_exhaustive]
pub enum InstanceChange {
    /// An instance that was there when the watch began.
    Present(Instance),
    /// Everything that was there has been told.
    Synced,
    /// It was started.
    Started(Instance),
    /// It ended by itself; its state says how.
    Exited(Instance),
    /// It was stopped, and is known no more.
    Stopped(Instance),
}
