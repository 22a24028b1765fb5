//! The one write: every precondition is checked before anything is changed.

use std::{
    collections::BTreeMap,
    sync::{Arc, RwLock, RwLockWriteGuard},
};

use micro_plugin_api::{
    Result,
    store::{Commit, Operation, Table, Version, Watchers},
};

use super::{
    databases::Databases,
    table::{Row, Rows},
};
use crate::lock::write;

/// How many expired rows of its table an operation collects: more than the one it may add, so that
/// a table never holds more expired rows than live ones for long.
const COLLECTED_PER_OPERATION: usize = 2;

/// Applies a commit under the version that `version` gives once nothing stands against it.
pub(super) fn apply(
    databases: &Databases,
    watchers: &Watchers,
    commit: &Commit,
    version: impl FnOnce() -> Version,
) -> Result<Version> {
    commit.validate()?;
    if let [operation] = &commit.operations[..] {
        let rows = databases.get_or_create(operation.table());
        let mut rows = write(&rows);
        check(&rows, operation)?;
        let version = version();
        change(&mut rows, operation, version);
        // Under the lock, so that watchers are told in the order of the commits.
        watchers.tell(commit, version);
        rows.collect(COLLECTED_PER_OPERATION);
        return Ok(version);
    }
    let tables: BTreeMap<Table<'_>, Arc<RwLock<Rows>>> = commit
        .operations
        .iter()
        .map(Operation::table)
        .map(|table| (table, databases.get_or_create(table)))
        .collect();
    // Everybody locks tables in the order of their names, so nobody waits in a circle.
    let mut locked: BTreeMap<Table<'_>, RwLockWriteGuard<'_, Rows>> = tables
        .iter()
        .map(|(table, rows)| (*table, write(rows)))
        .collect();
    for operation in &commit.operations {
        if let Some(rows) = locked.get(&operation.table()) {
            check(rows, operation)?;
        }
    }
    let version = version();
    for operation in &commit.operations {
        if let Some(rows) = locked.get_mut(&operation.table()) {
            change(rows, operation, version);
            rows.collect(COLLECTED_PER_OPERATION);
        }
    }
    watchers.tell(commit, version);
    Ok(version)
}

fn check(rows: &Rows, operation: &Operation) -> Result<()> {
    let there = rows.get(&operation.key).filter(|row| !row.has_expired());
    operation.check(there.map(|row| row.version))
}

fn change(rows: &mut Rows, operation: &Operation, version: Version) {
    match &operation.put {
        Some(put) => rows.insert(&operation.key, Row::new(version, put)),
        None => rows.remove(&operation.key),
    }
}
