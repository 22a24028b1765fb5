//! The log of changes, read from where one has come to.

use futures::TryStreamExt as _;
use micro_plugin_api::store::{Commit, Operation, Precondition, Put, Version};
use sqlx::{PgConnection, Row as _, postgres::PgRow, query};

use super::record;
use crate::{
    database::Work,
    key::{self, TableId},
};

/// How many changes are read at a time.
const CHANGES: i64 = 512;

/// How many bytes of values are read at a time, beside those of the last change.
const BYTES: i64 = 4 << 20;

/// A place in the log: everything up to it has been told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    version: i64,
    ordinal: i32,
}

/// What a reading brought.
pub(super) struct Reading {
    /// Where the next one goes on.
    pub(super) place: Place,
    /// What changed, in order: a commit of one operation, and its version.
    pub(super) changes: Vec<(Commit, Version)>,
    /// Whether changes are lost: the log no longer holds what comes next.
    pub(super) gap: bool,
    /// Whether there is more to read at once.
    pub(super) more: bool,
}

/// Reads on behind `after`, of these tables alone; without a place it only finds out the present
/// one.
pub(super) struct Poll<'a> {
    pub(super) after: Option<Place>,
    pub(super) tables: &'a [Table],
}

/// A table that somebody watches.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) id: TableId,
    pub(super) database: String,
    pub(super) name: String,
}

impl Work for Poll<'_> {
    type Output = Reading;

    async fn run(&self, connection: &mut PgConnection) -> sqlx::Result<Reading> {
        let ids: Vec<&[u8]> = self
            .tables
            .iter()
            .map(|table| table.id.as_bytes())
            .collect();
        let after = self.after.unwrap_or(Place {
            version: i64::MAX,
            ordinal: 0,
        });
        // One statement, so that clock and log are seen as they were at one moment.
        let mut rows = query(
            "SELECT clock.version AS clock, clock.trimmed, log.* FROM clock LEFT JOIN \
             (SELECT * FROM (SELECT *, sum(size) OVER \
             (ORDER BY version, ordinal ROWS UNBOUNDED PRECEDING) AS total FROM \
             (SELECT version, ordinal, tbl, key, put, value, metadata, expiry, \
             octet_length(value)::BIGINT AS size FROM changes \
             WHERE (version, ordinal) > ($1, $2) AND tbl = ANY($3::BYTEA[]) \
             ORDER BY version, ordinal LIMIT $4) AS found) AS measured \
             WHERE total - size <= $5) AS log ON true \
             WHERE clock.id = 1 ORDER BY log.version, log.ordinal",
        )
        .bind(after.version)
        .bind(after.ordinal)
        .bind(ids)
        .bind(CHANGES)
        .bind(BYTES)
        .fetch(connection);
        let mut reading = Reading {
            place: after,
            changes: Vec::new(),
            gap: false,
            more: false,
        };
        let (mut clock, mut bytes) = (after.version, 0);
        while let Some(row) = rows.try_next().await? {
            clock = row.try_get("clock")?;
            let trimmed: i64 = row.try_get("trimmed")?;
            // A clock that went back is that of a database restored from a copy.
            let lost = |after: Place| {
                clock < after.version
                    || trimmed > after.version
                    || trimmed == after.version && after.ordinal != i32::MAX
            };
            reading.gap = self.after.is_some_and(lost);
            if let Some(version) = row.try_get::<Option<i64>, _>("version")? {
                let ordinal = row.try_get("ordinal")?;
                bytes += row.try_get::<i64, _>("size")?;
                reading.place = Place { version, ordinal };
                reading.changes.extend(self.change(&row)?);
            }
        }
        reading.more = reading.changes.len() as i64 == CHANGES || bytes > BYTES;
        if !reading.more {
            reading.place = Place {
                version: clock,
                ordinal: i32::MAX,
            };
        }
        Ok(reading)
    }
}

impl Poll<'_> {
    fn change(&self, row: &PgRow) -> sqlx::Result<Option<(Commit, Version)>> {
        let id: &[u8] = row.try_get("tbl")?;
        let Some(table) = self.tables.iter().find(|table| table.id.as_bytes() == id) else {
            return Ok(None);
        };
        let record = record::whole(key::text(row.try_get("key")?)?, row)?;
        let version = record.version;
        let put = row.try_get::<bool, _>("put")?.then_some(Put {
            value: record.value,
            metadata: record.metadata,
            expiry: record.expiry,
        });
        let operation = Operation {
            database: table.database.clone(),
            table: table.name.clone(),
            key: record.key,
            precondition: Precondition::Any,
            put,
        };
        let operations = vec![operation];
        Ok(Some((Commit { operations }, version)))
    }
}
