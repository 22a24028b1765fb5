//! A store is made the same as another one that is written to meanwhile.
//!
//! Both are walked through side by side: once to copy what differs, once more to verify that nothing
//! does. What is written during that is noted and copied again, at last while writes are held.

use std::{
    collections::{BTreeSet, HashSet, VecDeque, hash_map::DefaultHasher},
    hash::{Hash as _, Hasher as _},
    time::Duration,
};

use micro_plugin_api::{
    Call, Error, Result, StoreHandle,
    store::{Commit, Cursor, ListQuery, Precondition, Put, Record, Table},
};

use super::Progress;
use crate::{
    Module, PLATFORM_DATABASE,
    identity::{self, COPYING, PROOF, TABLE, TOLD},
    swappable::{Changed, FullKey},
};

/// How long a store may take for one page or commit.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The most bytes of one commit, but for a single record that is larger.
const COMMIT_BYTES: usize = 512 * 1024;
/// How few records may be left to copy while writes are held.
const FEW: usize = 64;
/// How often it is tried to get there.
const ROUNDS: usize = 5;

fn call() -> Call {
    Call::new(PLATFORM_DATABASE).with_timeout(TIMEOUT)
}

/// A copy.
pub(super) struct Copy<'a> {
    from: StoreHandle,
    to: StoreHandle,
    progress: &'a (dyn Fn(Progress) + Send + Sync),
}

/// What one walk through a database found.
#[derive(Default)]
struct Found {
    records: u64,
    checksum: DefaultHasher,
    differing: HashSet<FullKey>,
}

impl<'a> Copy<'a> {
    pub(super) fn new(
        from: &StoreHandle,
        to: &StoreHandle,
        progress: &'a (dyn Fn(Progress) + Send + Sync),
    ) -> Self {
        Self {
            from: from.clone(),
            to: to.clone(),
            progress,
        }
    }

    /// Copies everything, with what is written meanwhile, and verifies it. Gives the keys that
    /// have to be looked at again.
    ///
    /// # Errors
    /// One of the stores failed. The new one is marked as unfinished then.
    pub(super) async fn begin(
        &self,
        platform: &str,
        changed: &Changed<FullKey>,
    ) -> Result<HashSet<FullKey>> {
        identity::mark_unfinished(&self.to, platform).await?;
        for database in self.databases().await? {
            self.walk(&database, true).await?;
        }
        self.catch_up(changed).await?;
        let mut suspects = HashSet::new();
        for database in self.databases().await? {
            let found = self.walk(&database, false).await?;
            suspects.extend(found.differing);
            (self.progress)(Progress::Verified {
                module: Module::Store,
                name: database,
                items: found.records,
                checksum: format!("{:016x}", found.checksum.finish()),
            });
        }
        // Those differ that were written since they were copied: they are looked at again.
        self.sync(&suspects).await?;
        suspects.extend(self.catch_up(changed).await?);
        Ok(suspects)
    }

    /// Copies what was written, until little is; gives what it copied last.
    async fn catch_up(&self, changed: &Changed<FullKey>) -> Result<HashSet<FullKey>> {
        for _ in 0..ROUNDS {
            let keys = changed.take();
            self.sync(&keys).await?;
            if keys.len() <= FEW {
                return Ok(keys);
            }
        }
        Ok(HashSet::new())
    }

    /// Copies the last records, while nothing is written, and verifies each.
    ///
    /// # Errors
    /// One of the stores failed, or does not hold what was written to it.
    pub(super) async fn finish(
        &self,
        suspects: &HashSet<FullKey>,
        changed: HashSet<FullKey>,
    ) -> Result<()> {
        let keys: HashSet<_> = suspects.union(&changed).cloned().collect();
        self.sync(&keys).await?;
        for key in &keys {
            let (old, new) = self.both(key).await?;
            if !equal(old.as_ref(), new.as_ref()) {
                let (database, table, key) = key;
                return Err(Error::internal(format!(
                    "record {key:?} of table {table:?} in database {database:?} is another one \
                     in the new store than what was written to it"
                )));
            }
        }
        let commit = Commit::new().delete(TABLE, COPYING, Precondition::Any);
        self.to.commit(&call(), &commit).await.map(drop)
    }

    /// Makes some records the same.
    async fn sync(&self, keys: &HashSet<FullKey>) -> Result<()> {
        let mut sorted: Vec<_> = keys.iter().collect();
        sorted.sort();
        for keys in sorted.chunk_by(|one, other| (&one.0, &one.1) == (&other.0, &other.1)) {
            let Some((database, table, _)) = keys.first() else {
                continue;
            };
            let mut writer = Writer::new(&self.to, Table::new(database, table));
            for full in keys {
                let (old, new) = self.both(full).await?;
                if equal(old.as_ref(), new.as_ref()) {
                    continue;
                }
                match old {
                    Some(record) => writer.put(record).await?,
                    None => writer.delete(&full.2).await?,
                };
            }
            writer.flush().await?;
        }
        Ok(())
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

    /// The databases of both stores.
    async fn databases(&self) -> Result<BTreeSet<String>> {
        let mut all = BTreeSet::from_iter(self.from.databases(&call()).await?);
        all.extend(self.to.databases(&call()).await?);
        Ok(all)
    }

    /// Walks through a database in both stores, and makes them the same if told to.
    async fn walk(&self, database: &str, copy: bool) -> Result<Found> {
        let mut found = Found::default();
        let mut tables = BTreeSet::from_iter(self.from.tables(&call(), database).await?);
        tables.extend(self.to.tables(&call(), database).await?);
        for table in &tables {
            self.walk_table(Table::new(database, table), copy, &mut found)
                .await?;
        }
        Ok(found)
    }

    async fn walk_table(&self, table: Table<'_>, copy: bool, found: &mut Found) -> Result<()> {
        let (mut old, mut new) = (Walk::new(&self.from, table), Walk::new(&self.to, table));
        let mut writer = Writer::new(&self.to, table);
        loop {
            let (a, b) = (old.peek().await?, new.peek().await?);
            let order = match (a, b) {
                (None, None) => break,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(a), Some(b)) => a.key.cmp(&b.key),
            };
            let a = if order.is_le() { old.next() } else { None };
            let b = if order.is_ge() { new.next() } else { None };
            if equal(a.as_ref(), b.as_ref()) {
                if let Some(record) = &a {
                    found.count(table, record);
                }
                continue;
            }
            match (a, b) {
                (Some(record), _) if copy => {
                    found.records += 1;
                    let written = writer.put(record).await?;
                    if written {
                        self.tell(table, found.records);
                    }
                }
                (None, Some(record)) if copy => {
                    writer.delete(&record.key).await?;
                }
                (Some(record), _) | (None, Some(record)) => {
                    let (database, table) = (table.database.to_owned(), table.table.to_owned());
                    found.differing.insert((database, table, record.key));
                }
                (None, None) => {}
            }
        }
        writer.flush().await?;
        if copy {
            self.tell(table, found.records);
        }
        Ok(())
    }

    fn tell(&self, table: Table<'_>, records: u64) {
        (self.progress)(Progress::Copied {
            module: Module::Store,
            name: table.database.to_owned(),
            items: records,
        });
    }
}

impl Found {
    fn count(&mut self, table: Table<'_>, record: &Record) {
        self.records += 1;
        let expiry = record.expiry.map(|expiry| expiry.0);
        let of = (table, &record.key, &record.value, &record.metadata, expiry);
        of.hash(&mut self.checksum);
    }
}

/// Whether a record is one that says something about the store that it is in.
fn is_ours(table: Table<'_>, key: &str) -> bool {
    table == TABLE && [COPYING, PROOF, TOLD].contains(&key)
}

/// Whether two records are the same, but for their versions, which are each store's own.
fn equal(one: Option<&Record>, other: Option<&Record>) -> bool {
    let of = |record: &Record| (record.key.clone(), record.value.clone(), record.expiry);
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => of(one) == of(other) && one.metadata == other.metadata,
        _ => false,
    }
}

/// A walk through a table in key order.
struct Walk<'a> {
    store: &'a StoreHandle,
    table: Table<'a>,
    records: VecDeque<Record>,
    cursor: Option<Cursor>,
    ended: bool,
}

impl<'a> Walk<'a> {
    fn new(store: &'a StoreHandle, table: Table<'a>) -> Self {
        Self {
            store,
            table,
            records: VecDeque::new(),
            cursor: None,
            ended: false,
        }
    }

    async fn peek(&mut self) -> Result<Option<&Record>> {
        while self.records.is_empty() && !self.ended {
            let query = ListQuery {
                cursor: self.cursor.as_ref(),
                ..ListQuery::default()
            };
            let page = self.store.list(&call(), self.table, &query).await?;
            let table = self.table;
            let records = page.records.into_iter();
            self.records = records.filter(|r| !is_ours(table, &r.key)).collect();
            self.cursor = page.next;
            self.ended = self.cursor.is_none();
        }
        Ok(self.records.front())
    }

    fn next(&mut self) -> Option<Record> {
        self.records.pop_front()
    }
}

/// Writes records of a table in batches.
struct Writer<'a> {
    store: &'a StoreHandle,
    table: Table<'a>,
    commit: Commit,
    bytes: usize,
}

impl<'a> Writer<'a> {
    fn new(store: &'a StoreHandle, table: Table<'a>) -> Self {
        Self {
            store,
            table,
            commit: Commit::new(),
            bytes: 0,
        }
    }

    /// Whether a batch was written before it.
    async fn put(&mut self, record: Record) -> Result<bool> {
        let metadata = record.metadata.iter();
        let size = record.key.len()
            + record.value.len()
            + metadata.map(|(k, v)| k.len() + v.len()).sum::<usize>();
        let written = self.make_room(size).await?;
        let put = Put {
            value: record.value,
            metadata: record.metadata,
            expiry: record.expiry,
        };
        let commit = std::mem::take(&mut self.commit);
        self.commit = commit.put(self.table, record.key, Precondition::Any, put);
        Ok(written)
    }

    async fn delete(&mut self, key: &str) -> Result<bool> {
        let written = self.make_room(key.len()).await?;
        let commit = std::mem::take(&mut self.commit);
        self.commit = commit.delete(self.table, key, Precondition::Any);
        Ok(written)
    }

    async fn make_room(&mut self, size: usize) -> Result<bool> {
        let operations = self.commit.operations.len();
        let full = operations == Commit::MAX_OPERATIONS
            || (operations > 0 && self.bytes + size > COMMIT_BYTES);
        if full {
            self.flush().await?;
        }
        self.bytes += size;
        Ok(full)
    }

    async fn flush(&mut self) -> Result<()> {
        let commit = std::mem::take(&mut self.commit);
        self.bytes = 0;
        if commit.operations.is_empty() {
            return Ok(());
        }
        self.store.commit(&call(), &commit).await.map(drop)
    }
}
