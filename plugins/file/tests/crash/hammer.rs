//! The process that writes as fast as it can, and says what was acknowledged; and what all these
//! tests do with a store.

use std::{
    env,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use micro_file::{FileStore, Settings};
use micro_plugin_api::{
    Call, Host, Result, Store as _,
    store::{Commit, Precondition, Put, Record, Table, Version},
};

use crate::ROLE;

/// How many write at once.
pub(crate) const WRITERS: usize = 64;

pub(crate) const TABLE: Table<'static> = Table::new("database", "table");

/// This program in another role, on a folder; what it says comes through a pipe.
pub(crate) fn other_process(role: &str, folder: &Path) -> Command {
    let program = env::current_exe().expect("this program");
    let mut command = Command::new(program);
    command.arg(folder).env(ROLE, role).stdout(Stdio::piped());
    command
}

pub(crate) fn settings() -> Settings {
    Settings {
        cache_mb: 8,
        reserve_mb: 0,
        ..Settings::default()
    }
}

pub(crate) fn host(folder: &Path) -> Host {
    Host::new("file", folder, folder)
}

pub(crate) fn open(folder: &Path) -> Result<FileStore> {
    FileStore::open(settings(), host(folder))
}

/// The runtime that a plugin has: calls are polled in it.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}

pub(crate) fn text(value: &str) -> Put {
    Put {
        value: value.to_owned().into(),
        ..Put::default()
    }
}

pub(crate) async fn put(store: &FileStore, key: &str, value: &str) -> Result<Version> {
    let commit = Commit::new().put(TABLE, key, Precondition::Any, text(value));
    store.commit(&Call::default(), &commit).await
}

pub(crate) async fn read(store: &FileStore, key: &str) -> Result<Option<Record>> {
    store.read(&Call::default(), TABLE, key).await
}

/// The number under a key; zero if there is none.
pub(crate) async fn number(store: &FileStore, key: &str) -> (u64, Option<Version>) {
    let record = read(store, key).await.expect("a record that can be read");
    record.map_or((0, None), |record| {
        let text = String::from_utf8_lossy(&record.value).into_owned();
        (text.parse().expect("a number"), Some(record.version))
    })
}

/// The keys of one writer: they change together.
pub(crate) fn keys(writer: usize) -> [String; 2] {
    [format!("a/{writer}"), format!("b/{writer}")]
}

/// Counts up under the keys of each writer, from where a former process has left off, and says
/// `writer number version` for what was acknowledged, until it is killed.
pub(crate) fn run(folder: &Path) {
    runtime().block_on(async {
        let store = open(folder).expect("a store that opens");
        let store = std::sync::Arc::new(store);
        let writers = (0..WRITERS).map(|writer| {
            let store = store.clone();
            tokio::spawn(async move { count_up(&store, writer).await })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.expect("a writer that goes on");
        }
    });
}

async fn count_up(store: &FileStore, writer: usize) {
    let [a, b] = keys(writer);
    let (mut count, mut version) = number(store, &a).await;
    loop {
        count += 1;
        let expected = version.map_or(Precondition::Absent, Precondition::Version);
        let commit = Commit::new()
            .put(TABLE, &a, expected, text(&count.to_string()))
            .put(TABLE, &b, expected, text(&count.to_string()));
        let written = store.commit(&Call::default(), &commit).await;
        let written = written.expect("a commit that nobody disputes");
        version = Some(written);
        // One write of a short line to a pipe is whole or not at all.
        let line = format!("{writer} {count} {}\n", written.0);
        std::io::stdout()
            .lock()
            .write_all(line.as_bytes())
            .expect("somebody reads");
    }
}
