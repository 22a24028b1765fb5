//! The records of services in the store: read, listed, and written only over the version that was
//! read.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use micro_builder::Artifact;
use micro_modules::Modules;
use micro_plugin_api::{
    Call, Code, Error, Result,
    registry::Service as Registered,
    runtime::InstanceKey,
    store::{Commit, ListQuery, Precondition, Put, Version},
};
use serde::{Deserialize, Serialize};

use super::{bell, lease::TABLE, manager::now, plan::Plan, status::Status, wish::Wish};

/// How often a write is tried again when somebody else wrote in between.
pub(super) const ATTEMPTS: usize = 16;

/// A service that somebody asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Record {
    pub(crate) key: InstanceKey,
    /// Names this run of it: another Create makes another one.
    pub(crate) run: String,
    pub(crate) source: String,
    pub(crate) kind: String,
    /// What the user said of it, and owner, group and time of start.
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) status: Status,
    /// Why it is in [`Status::Error`].
    pub(crate) error: String,
    /// When it is started again, while it waits for that: milliseconds since the Unix epoch.
    pub(crate) retry_at: Option<u64>,
    /// Why it could not be updated, the last time.
    pub(crate) update_error: String,
    /// Which server runs it.
    pub(crate) server: String,
    /// What that server was asked for through another one and has not taken note of yet.
    pub(crate) wish: Option<Wish>,
    /// Whether nothing more will be tried with it: it cannot be built, say.
    pub(crate) is_over: bool,
    pub(crate) plan: Plan,
    /// What was built of it, once it is.
    pub(crate) artifact: Option<Kept>,
    /// Where its process was told that the platform is.
    pub(crate) platform: String,
    /// What it had registered when it was found to be ready.
    pub(crate) registered: Vec<Registered>,
}

/// What was built, where it still is after a restart of the server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Kept {
    pub(crate) folder: PathBuf,
    pub(crate) command: Vec<String>,
    pub(crate) health: Option<Vec<String>>,
}

impl Kept {
    pub(crate) fn of(artifact: &Artifact) -> Self {
        Self {
            folder: artifact.folder.clone(),
            command: artifact.command.clone(),
            health: artifact.health.clone(),
        }
    }

    /// The artifact, if it is there still.
    pub(crate) fn artifact(&self) -> Option<Artifact> {
        let program = self.command.first()?;
        let is_there =
            self.folder.is_dir() && (!program.contains('/') || self.folder.join(program).is_file());
        is_there.then(|| Artifact {
            folder: self.folder.clone(),
            command: self.command.clone(),
            health: self.health.clone(),
        })
    }
}

impl Record {
    /// As the wire shows it.
    pub(crate) fn to_wire(&self) -> micro_proto::runtime::Service {
        let mut metadata = self.metadata.clone();
        metadata.insert("status".to_owned(), self.status.word().to_owned());
        if !self.error.is_empty() {
            let mut error = self.error.clone();
            let now = unix_millis();
            if let Some(at) = self.retry_at.filter(|at| *at > now) {
                error.push_str(&format!(", next in {}s", (at - now).div_ceil(1000)));
            }
            metadata.insert("error".to_owned(), error);
        }
        if !self.update_error.is_empty() {
            let error = format!("failed: {}", self.update_error);
            metadata.insert("update".to_owned(), error);
        }
        micro_proto::runtime::Service {
            name: self.key.name.clone(),
            version: self.key.version.clone(),
            source: self.source.clone(),
            metadata: metadata.into_iter().collect(),
            status: self.status.number(),
        }
    }
}

fn key(of: &InstanceKey) -> String {
    // Neither name nor version has a `:`, so no two keys meet.
    format!("service:{}:{}:{}", of.namespace, of.name, of.version)
}

/// The record of a service, with its version in the store.
pub(crate) async fn read(
    modules: &Modules,
    call: &Call,
    of: &InstanceKey,
) -> Result<Option<(Record, Version)>> {
    let found = modules.store().read(call, TABLE, &key(of)).await?;
    found
        .map(|found| Ok((decode(&found.value)?, found.version)))
        .transpose()
}

/// The records of `namespace`, or of all, in the order of their keys.
pub(crate) async fn list(
    modules: &Modules,
    call: &Call,
    namespace: Option<&str>,
) -> Result<Vec<Record>> {
    let prefix = namespace.map_or("service:".to_owned(), |name| format!("service:{name}:"));
    let mut records = Vec::new();
    let mut cursor = None;
    loop {
        let query = ListQuery {
            prefix: &prefix,
            cursor: cursor.as_ref(),
            ..ListQuery::default()
        };
        let page = modules.store().list(call, TABLE, &query).await?;
        for found in &page.records {
            let record = decode(&found.value)?;
            if namespace.is_none_or(|name| record.key.namespace == name) {
                records.push(record);
            }
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(records);
        }
    }
}

/// Writes a record over the version that was read, or as a new one. `conflict` if it is neither.
pub(crate) async fn write(
    modules: &Modules,
    call: &Call,
    record: &Record,
    over: Option<Version>,
) -> Result<()> {
    let commit = put(Commit::new(), record, over)?;
    modules.store().commit(call, &commit).await.map(drop)
}

/// The same, and has the server that runs it look at the record.
pub(crate) async fn write_and_ring(
    modules: &Modules,
    call: &Call,
    record: &Record,
    over: Option<Version>,
) -> Result<()> {
    let commit = put(Commit::new(), record, over)?;
    let commit = bell::put(commit, &record.server, &record.key)?;
    modules.store().commit(call, &commit).await.map(drop)
}

/// One more write of `commit`: a record over the version that was read, or a new one.
pub(super) fn put(commit: Commit, record: &Record, over: Option<Version>) -> Result<Commit> {
    let value = serde_json::to_vec(record)
        .map_err(|error| Error::internal(format!("cannot write the record: {error}")))?;
    let put = Put {
        value: Bytes::from(value),
        ..Put::default()
    };
    let over = over.map_or(Precondition::Absent, Precondition::Version);
    Ok(commit.put(TABLE, key(&record.key), over, put))
}

/// Changes the record of one run, and notes when if its status changes; false if there is none any more: it was deleted or replaced.
pub(crate) async fn update(
    modules: &Modules,
    call: &Call,
    of: &InstanceKey,
    run: &str,
    change: impl Fn(&mut Record),
) -> Result<bool> {
    for _ in 0..ATTEMPTS {
        let Some((mut record, version)) = read(modules, call, of).await? else {
            return Ok(false);
        };
        if record.run != run {
            return Ok(false);
        }
        let before = record.status;
        change(&mut record);
        if record.status != before {
            // What `micro status` shows as UPDATED: a long build is no part of how long it runs.
            record.metadata.insert("started".to_owned(), now());
        }
        match write(modules, call, &record, Some(version)).await {
            Err(error) if error.code() == Code::CONFLICT => {}
            written => return written.map(|()| true),
        }
    }
    Err(changing(of))
}

/// Deletes the record of one run; false if there is none any more: it was deleted or replaced.
pub(crate) async fn delete(
    modules: &Modules,
    call: &Call,
    of: &InstanceKey,
    run: &str,
) -> Result<bool> {
    for _ in 0..ATTEMPTS {
        let Some((record, version)) = read(modules, call, of).await? else {
            return Ok(false);
        };
        if record.run != run {
            return Ok(false);
        }
        let commit = Commit::new().delete(TABLE, key(of), Precondition::Version(version));
        match modules.store().commit(call, &commit).await {
            Err(error) if error.code() == Code::CONFLICT => {}
            deleted => return deleted.map(|_| true),
        }
    }
    Err(changing(of))
}

pub(super) fn changing(of: &InstanceKey) -> Error {
    Error::conflict(format!(
        "the record of {of} is being changed by others; try again"
    ))
}

fn decode(value: &[u8]) -> Result<Record> {
    serde_json::from_slice(value).map_err(|error| {
        Error::internal(format!("a record of the runtime cannot be read: {error}"))
    })
}

/// Milliseconds since the Unix epoch.
pub(crate) fn unix_millis() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_millis() as u64)
}
