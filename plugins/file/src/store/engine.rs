//! The engine under the store: a log-structured tree that is opened, read, and opened again after
//! a failure.

use std::{
    ops::{Bound, Deref},
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock, RwLockReadGuard},
};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use micro_plugin_api::{
    Error, Result,
    store::{Table, Version},
};

use super::{key, recovery::Recovery};

/// How large the part in memory grows before it goes to a file of its own. A larger one makes
/// writing cheaper, and reopening after a crash longer.
const MEMTABLE: u64 = 32 << 20;

/// How much may stand in journals before what is in them is made to go to files of the tree.
const JOURNALS: u64 = 128 << 20;

/// Threads that write and merge files behind the writers' backs.
const WORKERS: usize = 2;

/// The engine, which may be closed while it is opened again.
pub(super) struct Engine {
    /// The module's folder.
    folder: PathBuf,
    cache: u64,
    open: RwLock<Option<Open>>,
}

/// The engine while it is open.
pub(super) struct Open {
    folder: PathBuf,
    database: Database,
    tree: Keyspace,
}

/// Keeps the engine open while somebody reads or writes.
pub(super) struct Using<'a>(RwLockReadGuard<'a, Option<Open>>);

impl Engine {
    /// Opens the engine in `folder`, with so many bytes of cache. Gives the version of the last
    /// commit, too.
    ///
    /// # Errors
    /// `internal` if what is in the folder is damaged, `unavailable` if it cannot be read.
    pub(super) fn open(folder: &Path, cache: u64) -> Result<(Self, Version)> {
        let (open, last) = Open::recover(folder, cache)?;
        let engine = Self {
            folder: folder.to_owned(),
            cache,
            open: RwLock::new(Some(open)),
        };
        Ok((engine, last))
    }

    /// The engine for a while.
    ///
    /// # Errors
    /// `unavailable` if it failed and could not be opened again yet.
    pub(super) fn get(&self) -> Result<Using<'_>> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        if open.is_none() {
            return Err(Error::unavailable(format!(
                "the store in {} failed and could not be opened again yet; the server's log says why",
                self.folder.display()
            )));
        }
        Ok(Using(open))
    }

    /// The engine, if it is there and nobody has to be waited for.
    pub(super) fn try_get(&self) -> Option<Using<'_>> {
        let open = self.open.try_read().ok()?;
        open.is_some().then_some(Using(open))
    }

    /// Closes the engine and recovers it from what is on disk: a write that failed is never tried
    /// again on what the failure may have left in memory.
    ///
    /// # Errors
    /// Those of [`Self::open`]; the engine stays closed then.
    pub(super) fn reopen(&self) -> Result<Version> {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        // The old one must be gone before there can be a new one: it holds a lock.
        drop(open.take());
        let (new, last) = Open::recover(&self.folder, self.cache)?;
        *open = Some(new);
        Ok(last)
    }
}

impl Deref for Using<'_> {
    type Target = Open;

    fn deref(&self) -> &Open {
        self.0
            .as_ref()
            .expect("`get` has looked, and holds the lock since")
    }
}

impl Open {
    fn recover(folder: &Path, cache: u64) -> Result<(Self, Version)> {
        let recovery = Recovery::begin(folder)?;
        let path = recovery.engine();
        let opened = Database::builder(&path)
            .cache_size(cache)
            .max_journaling_size(JOURNALS)
            .worker_threads(WORKERS)
            .open()
            .and_then(|database| {
                let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE);
                Ok((database.keyspace("store", options)?, database))
            });
        let (tree, database) = opened.map_err(|error| recovery.failed(&error))?;
        let open = Self {
            folder: folder.to_owned(),
            database,
            tree,
        };
        let last = open.last_version()?;
        recovery.finish(last)?;
        Ok((open, last))
    }

    fn last_version(&self) -> Result<Version> {
        let bytes = self
            .tree
            .get(key::LAST_VERSION)
            .map_err(|error| self.failed("read the last version", &error))?;
        let Some(bytes) = bytes else {
            return Ok(Version(0));
        };
        let number = <[u8; 8]>::try_from(&bytes[..]).map_err(|_| {
            Error::internal(format!(
                "the store in {} is damaged: its last version is no number; restore it from a backup",
                self.folder.display()
            ))
        })?;
        Ok(Version(u64::from_le_bytes(number)))
    }

    /// The bytes of a record, whose place is `place`.
    ///
    /// # Errors
    /// `internal`, naming the record, if the engine finds its block damaged.
    pub(super) fn read(
        &self,
        table: Table<'_>,
        key: &str,
        place: &[u8],
    ) -> Result<Option<fjall::UserValue>> {
        self.tree.get(place).map_err(|error| {
            if is_damage(&error) {
                return self.damaged(table, key);
            }
            self.failed(&format!("read key {key:?}"), &error)
        })
    }

    /// The error of a walk through a table that cannot go on behind the key `last`.
    pub(super) fn unreadable(
        &self,
        table: Table<'_>,
        last: Option<&str>,
        error: &fjall::Error,
    ) -> Error {
        if !is_damage(error) {
            return self.failed("list records", error);
        }
        let place = last.map_or_else(
            || "the first key".to_owned(),
            |last| format!("the key behind {last:?}"),
        );
        self.damage(format_args!(
            "{place} of table {:?} in database {:?}",
            table.table, table.database
        ))
    }

    /// The bytes under a key.
    pub(super) fn get(&self, key: &[u8]) -> fjall::Result<Option<fjall::UserValue>> {
        self.tree.get(key)
    }

    /// The keys and values of a range.
    pub(super) fn range(&self, from: Bound<Vec<u8>>, to: Bound<Vec<u8>>) -> fjall::Iter {
        self.tree.range::<Vec<u8>, _>((from, to))
    }

    /// Changes that will be on disk when they are committed.
    pub(super) fn durable_batch(&self) -> Batch<'_> {
        self.batch(Some(PersistMode::SyncData))
    }

    /// Changes that will be on disk with the next ones that have to be.
    pub(super) fn lazy_batch(&self) -> Batch<'_> {
        self.batch(None)
    }

    fn batch(&self, mode: Option<PersistMode>) -> Batch<'_> {
        Batch {
            batch: self.database.batch().durability(mode),
            tree: &self.tree,
        }
    }

    /// The error of something that the engine could not do.
    pub(super) fn failed(&self, what: &str, error: &fjall::Error) -> Error {
        failed(&self.folder, what, error)
    }

    /// The error of a record that is not what was written.
    pub(super) fn damaged(&self, table: Table<'_>, key: &str) -> Error {
        self.damage(format_args!(
            "key {key:?} of table {:?} in database {:?}",
            table.table, table.database
        ))
    }

    /// The error of something in this store that is not what was written.
    pub(super) fn damage(&self, what: std::fmt::Arguments<'_>) -> Error {
        Error::internal(format!(
            "damaged record: {what} does not have the checksum that it was written with, in the \
             folder {}; check that disk, and write the record again or restore the folder from a \
             backup",
            self.folder.display()
        ))
    }
}

/// Changes of the tree that are made together.
pub(super) struct Batch<'a> {
    batch: fjall::OwnedWriteBatch,
    tree: &'a Keyspace,
}

impl Batch<'_> {
    pub(super) fn insert(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.batch.insert(self.tree, key, value);
    }

    pub(super) fn remove(&mut self, key: Vec<u8>) {
        self.batch.remove(self.tree, key);
    }

    pub(super) fn commit(self) -> fjall::Result<()> {
        self.batch.commit()
    }
}

/// Whether the engine says that bytes on disk are not what it wrote.
pub(super) fn is_damage(error: &fjall::Error) -> bool {
    use fjall::Error as Fjall;
    match error {
        Fjall::Storage(error) => matches!(
            error,
            fjall::LsmError::ChecksumMismatch { .. }
                | fjall::LsmError::InvalidTag(_)
                | fjall::LsmError::InvalidTrailer
                | fjall::LsmError::InvalidHeader(_)
                | fjall::LsmError::Decompress(_)
        ),
        Fjall::JournalRecovery(_) | Fjall::InvalidTag(_) | Fjall::InvalidTrailer => true,
        _ => false,
    }
}

/// The error of something that the engine in `folder` could not do.
pub(super) fn failed(folder: &Path, what: &str, error: &fjall::Error) -> Error {
    let folder = folder.display();
    if is_damage(error) {
        return Error::internal(format!(
            "cannot {what}: the store in {folder} is damaged ({error}); check that disk, and restore \
             the folder from a backup"
        ));
    }
    Error::unavailable(format!("cannot {what} in {folder}: {error}"))
}
