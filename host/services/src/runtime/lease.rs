//! The leases of servers that share a store: a record for each, which its server writes anew again
//! and again. One that stays as it is for as long as it says is taken from its server, and with it
//! the services that the server ran.
//!
//! Nobody compares clocks: who watches counts for how long the record has not changed.

use std::time::Duration;

use bytes::Bytes;
use micro_modules::{Modules, PLATFORM_DATABASE};
use micro_plugin_api::{
    Call, Error, Result,
    store::{Commit, Expiry, ListQuery, Precondition, Put, Table, Version},
};
use serde::{Deserialize, Serialize};

pub(super) const TABLE: Table<'static> = Table::new(PLATFORM_DATABASE, "runtime");

const PREFIX: &str = "server:";

/// How long it is kept that a server has no lease any more: longer than taking over takes.
const FREE: Duration = Duration::from_secs(24 * 60 * 60);

/// What a server says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Lease {
    /// Names one start of the server; empty if nobody holds the lease.
    pub(crate) start: String,
    /// Where other servers reach it: the network door.
    pub(crate) address: String,
    /// For how many milliseconds it may stay unchanged.
    pub(crate) milliseconds: u64,
}

impl Lease {
    pub(crate) fn is_held(&self) -> bool {
        !self.start.is_empty()
    }
}

fn key(server: &str) -> String {
    format!("{PREFIX}{server}")
}

/// What to write for a server's lease.
fn record(lease: &Lease) -> Result<Put> {
    let value = serde_json::to_vec(lease)
        .map_err(|error| Error::internal(format!("cannot write a lease: {error}")))?;
    Ok(Put {
        value: Bytes::from(value),
        expiry: (!lease.is_held()).then(|| Expiry::after(FREE)),
        ..Put::default()
    })
}

fn over(version: Option<Version>) -> Precondition {
    version.map_or(Precondition::Absent, Precondition::Version)
}

/// One more write of `commit`: the lease of `server`, over the version that was read.
pub(super) fn put(
    commit: Commit,
    server: &str,
    lease: &Lease,
    version: Option<Version>,
) -> Result<Commit> {
    Ok(commit.put(TABLE, key(server), over(version), record(lease)?))
}

/// Writes the lease of `server` over the version that was read. `conflict` if it is another one.
pub(super) async fn write(
    modules: &Modules,
    call: &Call,
    server: &str,
    lease: &Lease,
    version: Option<Version>,
) -> Result<Version> {
    let commit = put(Commit::new(), server, lease, version)?;
    modules.store().commit(call, &commit).await
}

/// The lease of a server.
pub(super) async fn read(
    modules: &Modules,
    call: &Call,
    server: &str,
) -> Result<Option<(Lease, Version)>> {
    let found = modules.store().read(call, TABLE, &key(server)).await?;
    found
        .map(|found| Ok((decode(&found.value)?, found.version)))
        .transpose()
}

/// Every lease, by the server's name.
pub(super) async fn list(modules: &Modules, call: &Call) -> Result<Vec<(String, Lease, Version)>> {
    let mut leases = Vec::new();
    let mut cursor = None;
    loop {
        let query = ListQuery {
            prefix: PREFIX,
            cursor: cursor.as_ref(),
            ..ListQuery::default()
        };
        let page = modules.store().list(call, TABLE, &query).await?;
        for found in &page.records {
            let server = found.key.strip_prefix(PREFIX).unwrap_or_default();
            leases.push((server.to_owned(), decode(&found.value)?, found.version));
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(leases);
        }
    }
}

fn decode(value: &[u8]) -> Result<Lease> {
    serde_json::from_slice(value)
        .map_err(|error| Error::internal(format!("the lease of a server cannot be read: {error}")))
}
