//! A runtime in a temporary folder, and waiting for conditions.

use micro_test_backends::until;
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use futures::StreamExt;
use micro_plugin_api::{
    Call, Host, RuntimeHandle,
    runtime::{Instance, InstanceKey, LogLine, LogOptions, Spec, State, StopOptions},
};
use micro_process::{ProcessRuntime, Settings};
use tempfile::TempDir;

pub(crate) struct Bench {
    pub(crate) runtime: RuntimeHandle,
    pub(crate) folder: TempDir,
}

pub(crate) async fn bench() -> Bench {
    bench_with(Settings::default()).await
}

/// With these settings, but a hurry that tests have.
pub(crate) async fn bench_with(settings: Settings) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::new(
        "process",
        folder.path().join("state"),
        folder.path().join("logs"),
    );
    let settings = Settings {
        shutdown_grace_ms: 2_000,
        log_poll_ms: 10,
        ..settings
    };
    let runtime = ProcessRuntime::open(settings, host).await.unwrap();
    Bench {
        runtime: RuntimeHandle::new(runtime),
        folder,
    }
}

pub(crate) fn key(name: &str) -> InstanceKey {
    InstanceKey {
        namespace: "micro".to_owned(),
        name: name.to_owned(),
        version: "latest".to_owned(),
    }
}

pub(crate) fn call() -> Call {
    Call::new("micro")
}

pub(crate) fn grace(milliseconds: u64) -> StopOptions {
    StopOptions {
        grace_ms: milliseconds,
    }
}

impl Bench {
    pub(crate) fn spec(&self, name: &str, command: &[&str]) -> Spec {
        Spec {
            key: key(name),
            command: command.iter().map(|&part| part.to_owned()).collect(),
            folder: self.folder.path().to_owned(),
            env: BTreeMap::from([("PATH".to_owned(), std::env::var("PATH").unwrap())]),
            ..Spec::default()
        }
    }

    /// Starts a line of shell.
    pub(crate) async fn shell(&self, name: &str, script: &str) -> Instance {
        let spec = self.spec(name, &["sh", "-c", script]);
        self.runtime.start(&call(), &spec).await.unwrap()
    }

    pub(crate) fn file(&self, name: &str, content: &str, mode: u32) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.folder
            .path()
            .join(format!("logs/micro/{name}/latest.log"))
    }

    pub(crate) async fn instance(&self, name: &str) -> Option<Instance> {
        let all = self.runtime.list(&call(), None).await.unwrap();
        all.into_iter().find(|instance| instance.key == key(name))
    }

    /// Waits until the instance has ended by itself, and tells how.
    pub(crate) async fn exit(&self, name: &str) -> String {
        let ended = until(async || match self.instance(name).await?.state {
            State::Exited(exit) => Some(exit),
            _ => None,
        });
        ended.await.to_string()
    }

    pub(crate) async fn lines(&self, name: &str, tail: Option<u64>) -> Vec<String> {
        let options = LogOptions {
            tail,
            ..LogOptions::default()
        };
        let lines = self
            .runtime
            .logs(&call(), &key(name), &options)
            .await
            .unwrap();
        lines
            .map(|line: Result<LogLine, _>| line.unwrap().text)
            .collect()
            .await
    }
}

/// Waits until a program has written a whole line into a file; the line.
pub(crate) async fn written(path: &Path) -> String {
    until(async || {
        let text = fs::read_to_string(path).ok()?;
        Some(text.strip_suffix('\n')?.to_owned())
    })
    .await
}

/// Whether a process runs (a zombie does not).
pub(crate) fn runs(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").starts_with(" Z"))
}
