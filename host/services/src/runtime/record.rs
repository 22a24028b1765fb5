//! The records of services in the store: read, listed, and written only over the version that was
//! read.

use std::collections::BTreeMap;

use bytes::Bytes;
use micro_modules::{Modules, PLATFORM_DATABASE};
use micro_plugin_api::{
    Call, Code, Error, Result,
    runtime::InstanceKey,
    store::{Commit, ListQuery, Precondition, Put, Table, Version},
};
use serde::{Deserialize, Serialize};

use super::status::Status;

const TABLE: Table<'static> = Table::new(PLATFORM_DATABASE, "runtime");

/// How often a write is tried again when somebody else wrote in between.
const ATTEMPTS: usize = 16;

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
}

impl Record {
    /// As the wire shows it.
    pub(crate) fn to_wire(&self) -> micro_proto::runtime::Service {
        let mut metadata = self.metadata.clone();
        metadata.insert("status".to_owned(), self.status.word().to_owned());
        if !self.error.is_empty() {
            metadata.insert("error".to_owned(), self.error.clone());
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
    let value = serde_json::to_vec(record)
        .map_err(|error| Error::internal(format!("cannot write the record: {error}")))?;
    let put = Put {
        value: Bytes::from(value),
        ..Put::default()
    };
    let over = over.map_or(Precondition::Absent, Precondition::Version);
    let commit = Commit::new().put(TABLE, key(&record.key), over, put);
    modules.store().commit(call, &commit).await.map(drop)
}

/// Changes the record of one run; false if there is none any more: it was deleted or replaced.
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
        change(&mut record);
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

fn changing(of: &InstanceKey) -> Error {
    Error::conflict(format!(
        "the record of {of} is being changed by others; try again"
    ))
}

fn decode(value: &[u8]) -> Result<Record> {
    serde_json::from_slice(value).map_err(|error| {
        Error::internal(format!("a record of the runtime cannot be read: {error}"))
    })
}
