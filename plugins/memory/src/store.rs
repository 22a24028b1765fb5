//! The store: sorted maps behind locks that are held briefly and never across an await.

mod commit;
mod databases;
mod list;
mod table;

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use micro_plugin_api::{
    BoxStream, Call, Result, Store,
    store::{Commit, ListQuery, Page, Record, RecordChange, Table, Version, Watchers},
};

use self::databases::Databases;
use crate::lock::read;

/// Records in this process's memory.
///
/// Each table has a lock of its own; a commit holds those of its tables together. Expired records
/// are absent at once, and collected a few at a time by the commits that follow.
#[derive(Debug)]
pub struct MemoryStore {
    databases: Databases,
    watchers: Watchers,
    versions: AtomicU64,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        // Versions begin at the clock, so that one kept from a former instance matches nothing here.
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let micros = now.map_or(0, |now| now.as_micros().try_into().unwrap_or(0));
        Self {
            databases: Databases::default(),
            watchers: Watchers::new(),
            versions: AtomicU64::new(micros),
        }
    }

    fn next_version(&self) -> Version {
        Version(self.versions.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

impl Store for MemoryStore {
    async fn read(&self, _call: &Call, table: Table<'_>, key: &str) -> Result<Option<Record>> {
        let Some(table) = self.databases.get(table) else {
            return Ok(None);
        };
        let rows = read(&table);
        let row = rows.get(key).filter(|row| !row.has_expired());
        Ok(row.map(|row| row.to_record(key)))
    }

    async fn list(&self, _call: &Call, table: Table<'_>, query: &ListQuery<'_>) -> Result<Page> {
        list::page(self.databases.get(table).as_deref(), query)
    }

    async fn commit(&self, _call: &Call, commit: &Commit) -> Result<Version> {
        let version = commit::apply(&self.databases, &self.watchers, commit, || {
            self.next_version()
        })?;
        self.databases.collect_some();
        Ok(version)
    }

    async fn watch(
        &self,
        _call: &Call,
        table: Table<'_>,
        prefix: &str,
    ) -> Result<BoxStream<Result<RecordChange>>> {
        Ok(self.watchers.watch(table, prefix))
    }

    async fn databases(&self, _call: &Call) -> Result<Vec<String>> {
        Ok(self.databases.names())
    }

    async fn tables(&self, _call: &Call, database: &str) -> Result<Vec<String>> {
        Ok(self.databases.tables(database))
    }
}
