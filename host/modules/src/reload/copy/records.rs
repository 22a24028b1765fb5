//! Two stores, of which the second is made the same as the first.

use std::{
    collections::{BTreeSet, HashSet},
    time::Duration,
};

use micro_plugin_api::{
    Call, Error, Result, StoreHandle,
    store::{Commit, Cursor, ListQuery, Precondition, Record, Table},
};

use super::{
    Found, Pair,
    walk::{Listing, SideBySide},
    writer::Writer,
};
use crate::{
    Module, PLATFORM_DATABASE,
    identity::{self, COPYING, PROOF, TABLE, TOLD},
    swappable::FullKey,
};

/// How long a store may take for one page or commit.
const TIMEOUT: Duration = Duration::from_secs(30);

pub(super) fn call() -> Call {
    Call::new(PLATFORM_DATABASE).with_timeout(TIMEOUT)
}

/// Both stores.
pub(crate) struct Records {
    from: StoreHandle,
    to: StoreHandle,
}

impl Records {
    pub(crate) fn new(from: &StoreHandle, to: &StoreHandle) -> Self {
        let (from, to) = (from.clone(), to.clone());
        Self { from, to }
    }

    async fn both(&self, key: &FullKey) -> Result<(Option<Record>, Option<Record>)> {
        let (database, table, key) = key;
        let table = Table::new(database, table);
        if is_ours(table, key) {
            return Ok((None, None));
        }
        let old = self.from.read(&call(), table, key).await?;
        Ok((old, self.to.read(&call(), table, key).await?))
    }

    async fn walk_table(
        &self,
        table: Table<'_>,
        copied: Option<&(dyn Fn(u64) + Send + Sync)>,
        found: &mut Found<FullKey>,
    ) -> Result<()> {
        let listing = |store| TableListing { store, table };
        let mut both = SideBySide::new(listing(&self.from), listing(&self.to));
        let mut writer = Writer::new(&self.to, table);
        loop {
            match (both.next().await?, copied) {
                ((None, None), _) => break,
                ((Some(old), Some(new)), _) if equal(&old, &new) => found.count(table, &old),
                ((Some(record), _), Some(copied)) => {
                    found.items += 1;
                    if writer.put(record).await? {
                        copied(found.items);
                    }
                }
                ((None, Some(record)), Some(_)) => {
                    writer.delete(&record.key).await?;
                }
                ((Some(record), _) | (None, Some(record)), None) => {
                    let (database, table) = (table.database.to_owned(), table.table.to_owned());
                    found.differing.insert((database, table, record.key));
                }
            }
        }
        writer.flush().await?;
        if let Some(copied) = copied {
            copied(found.items);
        }
        Ok(())
    }
}

impl Pair for Records {
    const MODULE: Module = Module::Store;
    const FEW: usize = 64;
    type Name = FullKey;

    async fn mark_unfinished(&self, platform: &str) -> Result<()> {
        identity::mark_unfinished(&self.to, platform).await
    }

    async fn mark_finished(&self) -> Result<()> {
        let commit = Commit::new().delete(TABLE, COPYING, Precondition::Any);
        self.to.commit(&call(), &commit).await.map(drop)
    }

    async fn places(&self) -> Result<BTreeSet<String>> {
        let mut all = BTreeSet::from_iter(self.from.databases(&call()).await?);
        all.extend(self.to.databases(&call()).await?);
        Ok(all)
    }

    async fn walk(
        &self,
        database: &str,
        copied: Option<&(dyn Fn(u64) + Send + Sync)>,
    ) -> Result<Found<FullKey>> {
        let mut found = Found::default();
        let mut tables = BTreeSet::from_iter(self.from.tables(&call(), database).await?);
        tables.extend(self.to.tables(&call(), database).await?);
        for table in &tables {
            let table = Table::new(database, table);
            self.walk_table(table, copied, &mut found).await?;
        }
        Ok(found)
    }

    async fn sync(&self, keys: &HashSet<FullKey>) -> Result<()> {
        let mut sorted: Vec<_> = keys.iter().collect();
        sorted.sort();
        for keys in sorted.chunk_by(|one, other| (&one.0, &one.1) == (&other.0, &other.1)) {
            let Some((database, table, _)) = keys.first() else {
                continue;
            };
            let mut writer = Writer::new(&self.to, Table::new(database, table));
            for full in keys {
                match self.both(full).await? {
                    (None, None) => {}
                    (Some(old), Some(new)) if equal(&old, &new) => {}
                    (Some(record), _) => drop(writer.put(record).await?),
                    (None, Some(_)) => drop(writer.delete(&full.2).await?),
                }
            }
            writer.flush().await?;
        }
        Ok(())
    }

    async fn is_same(&self, key: &FullKey) -> Result<bool> {
        Ok(match self.both(key).await? {
            (None, None) => true,
            (Some(old), Some(new)) => equal(&old, &new),
            _ => false,
        })
    }

    fn differs((database, table, key): &FullKey) -> Error {
        Error::internal(format!(
            "record {key:?} of table {table:?} in database {database:?} is another one in the new \
             store than what was written to it"
        ))
    }
}

impl Found<FullKey> {
    fn count(&mut self, table: Table<'_>, record: &Record) {
        self.items += 1;
        self.hash(table.table.as_bytes());
        self.hash(record.key.as_bytes());
        self.hash(&record.value);
        self.hash(&record.metadata.len().to_le_bytes());
        for (name, value) in &record.metadata {
            self.hash(name.as_bytes());
            self.hash(value.as_bytes());
        }
        let expiry = record.expiry.map(|expiry| expiry.0);
        self.hash(&expiry.map(u64::to_le_bytes).unwrap_or_default());
    }
}

/// Whether a record is one that says something about the store that it is in.
fn is_ours(table: Table<'_>, key: &str) -> bool {
    table == TABLE && [COPYING, PROOF, TOLD].contains(&key)
}

/// Whether two records are the same, but for their versions, which are each store's own.
fn equal(one: &Record, other: &Record) -> bool {
    let of = |record: &Record| (record.key.clone(), record.value.clone(), record.expiry);
    of(one) == of(other) && one.metadata == other.metadata
}

/// The records of a table.
struct TableListing<'a> {
    store: &'a StoreHandle,
    table: Table<'a>,
}

impl Listing for TableListing<'_> {
    type Item = Record;

    async fn page(&self, cursor: Option<&Cursor>) -> Result<(Vec<Record>, Option<Cursor>)> {
        let query = ListQuery {
            cursor,
            ..ListQuery::default()
        };
        let mut page = self.store.list(&call(), self.table, &query).await?;
        page.records
            .retain(|record| !is_ours(self.table, &record.key));
        Ok((page.records, page.next))
    }

    fn key(record: &Record) -> &str {
        &record.key
    }
}
