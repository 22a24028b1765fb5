//! The types of the `runtime` module. They cross the boundary as JSON documents, so that they can
//! gain fields without a new interface.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use futures::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};

use crate::{BoxStream, Result};

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
    /// Its whole environment: nothing else is inherited. The runtime may add variables of its own,
    /// whose names begin with `MICRO_RUNTIME_`.
    pub env: BTreeMap<String, String>,
    /// Whatever the caller wants back in [`Instance::run`], to know this start by.
    pub run: String,
    /// What to do when it ends by itself. Default: nothing.
    pub restart: RestartPolicy,
}

/// When a program that ended by itself is started again, and after how long.
///
/// The pause doubles with every quick death, from `initial_ms` up to `max_ms`, and each is varied
/// by up to a fifth so that many that died together do not come back together. A program that ran
/// for `healthy_ms` begins anew with its next death.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RestartPolicy {
    /// Upon which ends. Default: none.
    pub when: RestartWhen,
    /// The first pause, in milliseconds. Default 100.
    pub initial_ms: u64,
    /// The longest pause, in milliseconds. Default 30 000.
    pub max_ms: u64,
    /// How long a program has to run for its earlier deaths to be forgotten, in milliseconds.
    /// Default 10 000.
    pub healthy_ms: u64,
    /// After how many quick deaths in a row it is called a crash loop. Default 5.
    pub crash_loop_after: u32,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            when: RestartWhen::Never,
            initial_ms: 100,
            max_ms: 30_000,
            healthy_ms: 10_000,
            crash_loop_after: 5,
        }
    }
}

/// Which ends of a program are followed by a new start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RestartWhen {
    /// None.
    #[default]
    Never,
    /// Every one but exit code 0.
    OnFailure,
    /// Every one.
    Always,
}

impl fmt::Debug for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spec")
            .field("key", &self.key)
            .field("command", &self.command)
            .field("folder", &self.folder)
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .field("run", &self.run)
            .field("restart", &self.restart)
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
    /// When it was started last: milliseconds since the Unix epoch.
    pub started_at: u64,
    /// [`Spec::run`] of its start.
    pub run: String,
    /// How often it has been started again since it last ran for [`RestartPolicy::healthy_ms`].
    pub restarts: u32,
}

/// Whether an instance runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum State {
    /// It runs.
    #[default]
    Running,
    /// It ended by itself, and will be started again.
    Waiting(Backoff),
    /// It ended by itself, and stays so.
    Exited(Exit),
}

/// The pause before a program is started again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Backoff {
    /// How it ended.
    pub exit: Exit,
    /// When it will be started again: milliseconds since the Unix epoch.
    pub until: u64,
    /// Whether it has died [`RestartPolicy::crash_loop_after`] times in a row.
    pub crash_loop: bool,
}

/// How a program ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Exit {
    /// Its exit code, if it exited.
    pub code: Option<i32>,
    /// The number of the signal that ended it, if one did.
    pub signal: Option<i32>,
    /// What there is to say where neither is known: it could not be started again, say, or it
    /// ended while nobody saw how.
    pub message: Option<String>,
}

impl From<std::process::ExitStatus> for Exit {
    fn from(status: std::process::ExitStatus) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        Self {
            code: status.code(),
            signal: status.signal(),
            message: None,
        }
    }
}

impl From<std::io::Error> for Exit {
    /// Of a program whose end nobody could see.
    fn from(error: std::io::Error) -> Self {
        Self {
            message: Some(format!("it cannot be waited for: {error}")),
            ..Self::default()
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal, &self.message) {
            (Some(code), ..) => write!(f, "exit status {code}"),
            (None, Some(signal), _) => write!(f, "killed by signal {signal}"),
            (None, None, Some(message)) => f.write_str(message),
            (None, None, None) => f.write_str("ended"),
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

/// The longest piece of a line, in bytes as they were printed: bytes that are no UTF-8 take three each
/// as text.
const LONGEST_LINE: usize = (1 << 20) / 3;

/// Which lines of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogOptions {
    /// The last so many lines; `None` for all.
    pub tail: Option<u64>,
    /// Only lines printed after that, in milliseconds since the Unix epoch. A runtime knows times to
    /// about a second; in doubt it shows a line.
    pub since: Option<u64>,
    /// Whether to go on with lines as they are printed, until the stream is dropped.
    pub follow: bool,
}

impl LogOptions {
    /// Of all that a program has printed the lines that are asked for, as far as that can be told
    /// without times, and without following.
    pub(super) fn select(&self, printed: &[u8]) -> BoxStream<Result<LogLine>> {
        let mut pieces = printed.split(|byte| *byte == b'\n').peekable();
        let mut lines = Vec::new();
        while let Some(line) = pieces.next() {
            // Behind the last end there is no line.
            if pieces.peek().is_some() || !line.is_empty() {
                lines.extend(line.chunks(LONGEST_LINE).map(LogLine::untimed));
                if line.is_empty() {
                    lines.push(LogLine::default());
                }
            }
        }
        let tail = self.tail.map(|tail| tail.try_into().unwrap_or(usize::MAX));
        let skipped = tail.map_or(0, |tail| lines.len().saturating_sub(tail));
        stream::iter(lines.into_iter().skip(skipped).map(Ok)).boxed()
    }
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

impl LogLine {
    fn untimed(text: &[u8]) -> Self {
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        Self {
            text: String::from_utf8_lossy(text).into_owned(),
            timestamp: None,
        }
    }
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
    /// It was started, or started again.
    Started(Instance),
    /// It ended by itself; its state says how, and whether it will be started again.
    Exited(Instance),
    /// It was stopped, and is known no more.
    Stopped(Instance),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(printed: &[u8], tail: Option<u64>) -> Vec<String> {
        let options = LogOptions {
            tail,
            ..LogOptions::default()
        };
        let lines = options.select(printed);
        let lines = futures::executor::block_on_stream(lines);
        lines.map(|line| line.unwrap().text).collect()
    }

    #[test]
    fn all_lines_or_the_last_are_selected() {
        assert_eq!(select(b"", None), Vec::<String>::new());
        assert_eq!(select(b"\n", None), [""]);
        assert_eq!(select(b"a\r\n\nb", None), ["a", "", "b"]);
        assert_eq!(select(b"a\nb\nc\n", Some(2)), ["b", "c"]);
        assert_eq!(select(b"a\nb\n", Some(9)), ["a", "b"]);
        assert_eq!(select(b"a\nb\n", Some(0)), Vec::<String>::new());
        let long = select(&[b'x'; 3_000_000], None);
        assert_eq!(long.concat().len(), 3_000_000);
        assert!(long.iter().all(|line| line.len() <= 1 << 20));
    }
}
