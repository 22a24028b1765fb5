//! How a server is told to look at the record of a service that it runs: a record for each, which
//! it finds at its next look and deletes.

use std::time::Duration;

use bytes::Bytes;
use micro_modules::Modules;
use micro_plugin_api::{
    Call, Code, Error, Result,
    runtime::InstanceKey,
    store::{Commit, Expiry, ListQuery, Precondition, Put, Version},
};

use super::lease::TABLE;

/// Whoever has not looked by then is gone, and others read the records of its services.
const KEPT: Duration = Duration::from_secs(60 * 60);

fn prefix(server: &str) -> String {
    format!("bell:{server}:")
}

fn key(server: &str, of: &InstanceKey) -> String {
    let prefix = prefix(server);
    format!("{prefix}{}:{}:{}", of.namespace, of.name, of.version)
}

/// One more write of `commit`: tells `server` to look at the record of `of`.
pub(super) fn put(commit: Commit, server: &str, of: &InstanceKey) -> Result<Commit> {
    let value = serde_json::to_vec(of)
        .map_err(|error| Error::internal(format!("cannot write the name of a service: {error}")))?;
    let put = Put {
        value: Bytes::from(value),
        expiry: Some(Expiry::after(KEPT)),
        ..Put::default()
    };
    Ok(commit.put(TABLE, key(server, of), Precondition::Any, put))
}

/// The services whose records `server` was told to look at.
pub(super) async fn list(
    modules: &Modules,
    call: &Call,
    server: &str,
) -> Result<Vec<(InstanceKey, Version)>> {
    let prefix = prefix(server);
    let query = ListQuery {
        prefix: &prefix,
        ..ListQuery::default()
    };
    // Those of the next page are told at the next look.
    let page = modules.store().list(call, TABLE, &query).await?;
    page.records
        .iter()
        .map(|found| {
            let key = serde_json::from_slice(&found.value).map_err(|error| {
                Error::internal(format!("the name of a service cannot be read: {error}"))
            })?;
            Ok((key, found.version))
        })
        .collect()
}

/// Notes that `server` has looked, unless it was told once more meanwhile.
pub(super) async fn answer(
    modules: &Modules,
    call: &Call,
    server: &str,
    of: &InstanceKey,
    version: Version,
) -> Result<()> {
    let commit = Commit::new().delete(TABLE, key(server, of), Precondition::Version(version));
    match modules.store().commit(call, &commit).await {
        Err(error) if error.code() == Code::CONFLICT => Ok(()),
        answered => answered.map(drop),
    }
}
