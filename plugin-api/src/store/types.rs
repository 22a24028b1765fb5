//! The types of the `store` module.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;

use crate::clock::unix_millis;

/// Which table of which database. Any text of up to [`Table::MAX_NAME`] bytes is a name, the empty
/// one included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Table<'a> {
    /// The database: the unit of isolation.
    pub database: &'a str,
    /// The table within it.
    pub table: &'a str,
}

impl<'a> Table<'a> {
    /// The table `table` of `database`.
    pub const fn new(database: &'a str, table: &'a str) -> Self {
        Self { database, table }
    }
}

/// The version of a record: opaque, and never given to another state of the same key. Only
/// equality means anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Version(pub u64);

/// When a record becomes absent: milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Expiry(pub u64);

impl Expiry {
    /// This long from now.
    pub fn after(ttl: Duration) -> Self {
        Self(unix_millis().saturating_add(ttl.as_millis().try_into().unwrap_or(u64::MAX)))
    }

    /// Whether that moment has come.
    pub fn has_passed(self) -> bool {
        self.0 <= unix_millis()
    }

    /// How long until then; zero when it has passed.
    pub fn remaining(self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(unix_millis()))
    }
}

/// A stored record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The key.
    pub key: String,
    /// The value; empty in a page of [`Fields::Keys`].
    pub value: Bytes,
    /// Facts about the value; empty in a page of [`Fields::Keys`].
    pub metadata: BTreeMap<String, String>,
    /// The version that the commit which wrote it returned.
    pub version: Version,
    /// When it becomes absent, if ever.
    pub expiry: Option<Expiry>,
}

/// The direction of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// From the smallest key.
    #[default]
    Ascending,
    /// From the largest key.
    Descending,
}

/// What a list brings of each record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fields {
    /// Everything.
    #[default]
    All,
    /// Key, version and expiry alone.
    Keys,
}

/// Where a walk goes on: opaque text of the store that gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub String);

/// Which records to list.
#[derive(Clone, Debug, Default)]
pub struct ListQuery<'a> {
    /// Keys that begin so; empty for all. Taken literally: nothing in it is a wildcard.
    pub prefix: &'a str,
    /// Keys that end so; empty for all. Taken literally.
    pub suffix: &'a str,
    /// The direction.
    pub order: Order,
    /// At most so many records in this page; zero leaves it to the store. A store may give fewer
    /// and say so with [`Page::next`].
    pub limit: usize,
    /// Where to go on: the `next` of the page before, under the same query.
    pub cursor: Option<&'a Cursor>,
    /// How many matching records to pass over first.
    pub skip: u64,
    /// What to bring of each.
    pub fields: Fields,
}

/// One page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The records, in the query's order.
    pub records: Vec<Record>,
    /// Where the next page begins; `None` when this was the last.
    pub next: Option<Cursor>,
}

/// What must hold of a key for a commit to go through. An expired record is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing.
    #[default]
    Any,
    /// There is no record.
    Absent,
    /// There is a record of this version.
    Version(Version),
}

/// A record to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Put {
    /// The value.
    pub value: Bytes,
    /// Facts about the value.
    pub metadata: BTreeMap<String, String>,
    /// When it becomes absent, if ever.
    pub expiry: Option<Expiry>,
}

/// One write of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The database.
    pub database: String,
    /// The table.
    pub table: String,
    /// The key.
    pub key: String,
    /// What must hold of the key.
    pub precondition: Precondition,
    /// What to write; `None` deletes, and deleting what is absent is no error.
    pub put: Option<Put>,
}

/// What a commit did to one key, as a watcher is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordChange {
    /// The record was written, new or in place of a former one.
    Put(Record),
    /// There is no record any more.
    Deleted {
        /// The key.
        key: String,
        /// The version that the commit which deleted it returned.
        version: Version,
    },
}

impl RecordChange {
    /// The key that changed.
    pub fn key(&self) -> &str {
        match self {
            Self::Put(record) => &record.key,
            Self::Deleted { key, .. } => key,
        }
    }

    /// The version that the commit returned.
    pub fn version(&self) -> Version {
        match self {
            Self::Put(record) => record.version,
            Self::Deleted { version, .. } => *version,
        }
    }
}

/// Writes that happen together or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// The writes, no key twice.
    pub operations: Vec<Operation>,
}

impl Commit {
    /// The most operations that one commit may hold.
    pub const MAX_OPERATIONS: usize = 64;

    /// An empty commit.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same commit, with one more record to write.
    #[must_use]
    pub fn put(
        self,
        table: Table<'_>,
        key: impl Into<String>,
        precondition: Precondition,
        put: Put,
    ) -> Self {
        self.with(table, key, precondition, Some(put))
    }

    /// The same commit, with one more record to delete.
    #[must_use]
    pub fn delete(
        self,
        table: Table<'_>,
        key: impl Into<String>,
        precondition: Precondition,
    ) -> Self {
        self.with(table, key, precondition, None)
    }

    fn with(
        mut self,
        table: Table<'_>,
        key: impl Into<String>,
        precondition: Precondition,
        put: Option<Put>,
    ) -> Self {
        self.operations.push(Operation {
            database: table.database.to_owned(),
            table: table.table.to_owned(),
            key: key.into(),
            precondition,
            put,
        });
        self
    }
}
