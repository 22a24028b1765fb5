//! The transaction of a batch of commits, statement by statement.

use std::collections::{BTreeMap, HashMap, HashSet};

use micro_plugin_api::{
    Result,
    store::{Commit, Precondition, Version},
};
use sqlx::{PgConnection, query, query_scalar, raw_sql};

use super::{
    batch::{Decision, Place, decide},
    now, present,
    record::{expiry_to_column, metadata_to_column, version_from_column},
};
use crate::key::{Key, TableId};

/// Begins a transaction and locks the clock: from here on no other commit happens, in any server,
/// until this one ends. Returns the version of the last commit.
pub(super) async fn begin(connection: &mut PgConnection) -> sqlx::Result<u64> {
    raw_sql("BEGIN ISOLATION LEVEL READ COMMITTED")
        .execute(&mut *connection)
        .await?;
    let version: i64 = query_scalar("SELECT version FROM clock WHERE id = 1 FOR UPDATE")
        .fetch_one(connection)
        .await?;
    Ok(version_from_column(version).0)
}

/// Ends it without a trace.
pub(super) async fn rollback(connection: &mut PgConnection) -> sqlx::Result<()> {
    raw_sql("ROLLBACK").execute(connection).await?;
    Ok(())
}

/// Ends it. Until this has an answer, nobody knows.
pub(super) async fn commit(connection: &mut PgConnection) -> sqlx::Result<()> {
    raw_sql("COMMIT").execute(connection).await?;
    Ok(())
}

/// Whether the transaction `batch`, which gave versions behind `last`, was committed. To be asked
/// under the lock: then it is over in any case.
pub(super) async fn happened(
    connection: &mut PgConnection,
    last: u64,
    batch: &[u8],
) -> sqlx::Result<bool> {
    let found: Option<i32> =
        query_scalar("SELECT 1 FROM changes WHERE version = $1 AND batch = $2 LIMIT 1")
            .bind(column(last))
            .bind(batch)
            .fetch_optional(connection)
            .await?;
    Ok(found.is_some())
}

/// Decides on commits and writes what is to be written; `last` is the version before theirs, and
/// `known` the tables whose names are written down already.
pub(super) async fn write<'a>(
    connection: &mut PgConnection,
    commits: &[&'a Commit],
    last: u64,
    batch: &[u8],
    known: &HashSet<TableId>,
) -> sqlx::Result<Decision<'a>> {
    let there = versions(connection, commits).await?;
    let decision = decide(commits.iter().copied(), &there, last + 1);
    if decision.outcomes.iter().any(Result::is_ok) {
        advance(connection, last + commits.len() as u64).await?;
        name_tables(connection, &decision, known).await?;
        delete(connection, &decision).await?;
        put(connection, &decision).await?;
        log(connection, &decision, batch).await?;
    }
    Ok(decision)
}

/// A version as a column.
fn column(version: u64) -> i64 {
    version.try_into().unwrap_or(i64::MAX)
}

/// The versions of the records that are there, of the keys that have a precondition.
async fn versions<'a>(
    connection: &mut PgConnection,
    commits: &[&'a Commit],
) -> sqlx::Result<HashMap<Place<'a>, Version>> {
    let operations = commits.iter().flat_map(|commit| &commit.operations);
    let asked: Vec<Place<'a>> = operations
        .filter(|operation| operation.precondition != Precondition::Any)
        .map(|operation| (TableId::new(operation.table()), operation.key.as_str()))
        .collect::<HashSet<_>>()
        .into_iter()
        .collect();
    if asked.is_empty() {
        return Ok(HashMap::new());
    }
    let mut keys = Keys::default();
    for (table, key) in &asked {
        keys.push(table, key);
    }
    let numbers: Vec<i32> = (0..).take(asked.len()).collect();
    let found: Vec<(i32, i64)> = sqlx::query_as(concat!(
        "SELECT n, version FROM UNNEST($1::BYTEA[], $2::BYTEA[], $3::BYTEA[], $4::INT[]) \
         AS asked (a_tbl, a_head, a_digest, n) \
         JOIN records ON tbl = a_tbl AND head = a_head AND digest = a_digest WHERE ",
        present!()
    ))
    .bind(&keys.tables)
    .bind(&keys.heads)
    .bind(&keys.digests)
    .bind(&numbers)
    .fetch_all(connection)
    .await?;
    let found = found.into_iter().filter_map(|(n, version)| {
        let place = asked.get(usize::try_from(n).ok()?)?;
        Some((*place, version_from_column(version)))
    });
    Ok(found.collect())
}

/// Keys, column by column.
#[derive(Default)]
struct Keys<'a> {
    tables: Vec<&'a [u8]>,
    heads: Vec<&'a [u8]>,
    digests: Vec<Vec<u8>>,
    rests: Vec<&'a [u8]>,
    tails: Vec<Vec<u8>>,
}

impl<'a> Keys<'a> {
    fn push(&mut self, table: &'a TableId, key: &'a str) {
        let key = Key::new(key);
        self.tables.push(table.as_bytes());
        self.heads.push(key.head);
        self.rests.push(key.rest);
        self.tails.push(key.tail());
        self.digests.push(key.digest);
    }
}

async fn advance(connection: &mut PgConnection, version: u64) -> sqlx::Result<()> {
    query("UPDATE clock SET version = $1 WHERE id = 1")
        .bind(column(version))
        .execute(connection)
        .await?;
    Ok(())
}

async fn name_tables(
    connection: &mut PgConnection,
    decision: &Decision<'_>,
    known: &HashSet<TableId>,
) -> sqlx::Result<()> {
    let named = decision
        .writes
        .iter()
        .filter(|(_, (it, _))| it.put.is_some());
    let named = named.map(|((id, _), (operation, _))| (*id, operation.table()));
    let new: BTreeMap<_, _> = named.filter(|(id, _)| !known.contains(id)).collect();
    if new.is_empty() {
        return Ok(());
    }
    let ids: Vec<&[u8]> = new.keys().map(TableId::as_bytes).collect();
    let databases: Vec<&[u8]> = new.values().map(|it| it.database.as_bytes()).collect();
    let names: Vec<&[u8]> = new.values().map(|it| it.table.as_bytes()).collect();
    query(
        "INSERT INTO tables (id, database, name) \
         SELECT * FROM UNNEST($1::BYTEA[], $2::BYTEA[], $3::BYTEA[]) \
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(ids)
    .bind(databases)
    .bind(names)
    .execute(connection)
    .await?;
    Ok(())
}

async fn delete(connection: &mut PgConnection, decision: &Decision<'_>) -> sqlx::Result<()> {
    let mut keys = Keys::default();
    for ((table, key), (operation, _)) in &decision.writes {
        if operation.put.is_none() {
            keys.push(table, key);
        }
    }
    if keys.tables.is_empty() {
        return Ok(());
    }
    query(
        "DELETE FROM records WHERE (tbl, head, digest) IN \
         (SELECT * FROM UNNEST($1::BYTEA[], $2::BYTEA[], $3::BYTEA[]))",
    )
    .bind(&keys.tables)
    .bind(&keys.heads)
    .bind(&keys.digests)
    .execute(connection)
    .await?;
    Ok(())
}

async fn put(connection: &mut PgConnection, decision: &Decision<'_>) -> sqlx::Result<()> {
    let mut keys = Keys::default();
    let (mut values, mut metadata) = (Vec::new(), Vec::new());
    let (mut versions, mut expiries) = (Vec::new(), Vec::new());
    for ((table, key), (operation, version)) in &decision.writes {
        if let Some(put) = &operation.put {
            keys.push(table, key);
            values.push(&put.value[..]);
            metadata.push(metadata_to_column(&put.metadata));
            versions.push(column(version.0));
            expiries.push(expiry_to_column(put.expiry));
        }
    }
    if keys.tables.is_empty() {
        return Ok(());
    }
    query(
        "INSERT INTO records (tbl, head, digest, rest, tail, value, metadata, version, expiry) \
         SELECT * FROM UNNEST($1::BYTEA[], $2::BYTEA[], $3::BYTEA[], $4::BYTEA[], $5::BYTEA[], \
         $6::BYTEA[], $7::BYTEA[], $8::BIGINT[], $9::BIGINT[]) \
         ON CONFLICT (tbl, head, digest) DO UPDATE SET value = excluded.value, \
         metadata = excluded.metadata, version = excluded.version, expiry = excluded.expiry",
    )
    .bind(&keys.tables)
    .bind(&keys.heads)
    .bind(&keys.digests)
    .bind(&keys.rests)
    .bind(&keys.tails)
    .bind(values)
    .bind(metadata)
    .bind(versions)
    .bind(expiries)
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes down what changed, for those who watch, and for [`happened`].
async fn log(
    connection: &mut PgConnection,
    decision: &Decision<'_>,
    batch: &[u8],
) -> sqlx::Result<()> {
    let changes = &decision.changes;
    if changes.is_empty() {
        return Ok(());
    }
    let put = |i: usize| changes[i].operation.put.as_ref();
    let all = || 0..changes.len();
    let versions: Vec<i64> = changes.iter().map(|it| column(it.version.0)).collect();
    let ordinals: Vec<i32> = changes.iter().map(|it| it.ordinal).collect();
    let tables: Vec<&[u8]> = changes.iter().map(|it| it.table.as_bytes()).collect();
    let keys: Vec<&[u8]> = changes
        .iter()
        .map(|it| it.operation.key.as_bytes())
        .collect();
    let puts: Vec<bool> = all().map(|i| put(i).is_some()).collect();
    let values: Vec<&[u8]> = all()
        .map(|i| put(i).map_or(&[][..], |it| &it.value))
        .collect();
    let metadata: Vec<Vec<u8>> = all()
        .map(|i| put(i).map_or_else(Vec::new, |it| metadata_to_column(&it.metadata)))
        .collect();
    let expiries: Vec<Option<i64>> = all()
        .map(|i| put(i).and_then(|it| expiry_to_column(it.expiry)))
        .collect();
    query(concat!(
        "INSERT INTO changes \
         (batch, at, version, ordinal, tbl, key, put, value, metadata, expiry) SELECT $1, ",
        now!(),
        ", * FROM UNNEST($2::BIGINT[], $3::INT[], $4::BYTEA[], $5::BYTEA[], $6::BOOL[], \
         $7::BYTEA[], $8::BYTEA[], $9::BIGINT[])"
    ))
    .bind(batch)
    .bind(versions)
    .bind(ordinals)
    .bind(tables)
    .bind(keys)
    .bind(puts)
    .bind(values)
    .bind(metadata)
    .bind(expiries)
    .execute(connection)
    .await?;
    Ok(())
}
