//! The one write: every precondition is checked before anything is changed.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, RwLock, RwLockWriteGuard},
};

use micro_plugin_api::{
    Error, Result,
    store::{Commit, Operation, Precondition, Table, Version},
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
    commit: &Commit,
    version: impl FnOnce() -> Version,
) -> Result<Version> {
    validate(commit)?;
    if let [operation] = &commit.operations[..] {
        let rows = databases.get_or_create(table_of(operation));
        let mut rows = write(&rows);
        check(&rows, operation)?;
        let version = version();
        change(&mut rows, operation, version);
        rows.collect(COLLECTED_PER_OPERATION);
        return Ok(version);
    }
    let tables: BTreeMap<Table<'_>, Arc<RwLock<Rows>>> = commit
        .operations
        .iter()
        .map(|operation| table_of(operation))
        .map(|table| (table, databases.get_or_create(table)))
        .collect();
    // Everybody locks tables in the order of their names, so nobody waits in a circle.
    let mut locked: BTreeMap<Table<'_>, RwLockWriteGuard<'_, Rows>> = tables
        .iter()
        .map(|(table, rows)| (*table, write(rows)))
        .collect();
    for operation in &commit.operations {
        if let Some(rows) = locked.get(&table_of(operation)) {
            check(rows, operation)?;
        }
    }
    let version = version();
    for operation in &commit.operations {
        if let Some(rows) = locked.get_mut(&table_of(operation)) {
            change(rows, operation, version);
            rows.collect(COLLECTED_PER_OPERATION);
        }
    }
    Ok(version)
}

fn table_of(operation: &Operation) -> Table<'_> {
    Table::new(&operation.database, &operation.table)
}

fn validate(commit: &Commit) -> Result<()> {
    let count = commit.operations.len();
    if count > Commit::MAX_OPERATIONS {
        return Err(Error::invalid(format!(
            "a commit of {count} operations; at most {} go into one",
            Commit::MAX_OPERATIONS
        )));
    }
    let mut seen = HashSet::with_capacity(count);
    for operation in &commit.operations {
        if count > 1 && !seen.insert((table_of(operation), &operation.key)) {
            return Err(Error::invalid(format!(
                "{} twice in one commit; name each key once",
                place(operation)
            )));
        }
    }
    Ok(())
}

fn check(rows: &Rows, operation: &Operation) -> Result<()> {
    let there = rows
        .get(&operation.key)
        .filter(|row| !row.has_expired())
        .map(|row| row.version);
    let why = match (operation.precondition, there) {
        (Precondition::Any, _) | (Precondition::Absent, None) => return Ok(()),
        (Precondition::Version(wanted), Some(version)) if wanted == version => return Ok(()),
        (Precondition::Absent, Some(_)) => "exists already",
        (Precondition::Version(_), Some(_)) => "has changed since the version that was named",
        (Precondition::Version(_), None) => "is absent, and the commit names a version of it",
    };
    Err(Error::conflict(format!(
        "{} {why}; read it again and decide anew",
        place(operation)
    )))
}

fn change(rows: &mut Rows, operation: &Operation, version: Version) {
    match &operation.put {
        Some(put) => rows.insert(&operation.key, Row::new(version, put)),
        None => rows.remove(&operation.key),
    }
}

fn place(operation: &Operation) -> String {
    format!(
        "key {:?} of table {:?} in database {:?}",
        operation.key, operation.table, operation.database
    )
}
