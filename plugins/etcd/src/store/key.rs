//! Where records are among etcd's keys: `PREFIX/store/DATABASE/TABLE/` and the record's key as it
//! is, so that the keys of a table stand together in their own order.

use micro_plugin_api::store::Table;

use crate::{client::Etcd, names};

/// The keys of one store.
pub(super) struct Keys {
    folder: String,
}

impl Keys {
    pub(super) fn new(etcd: &Etcd) -> Self {
        Self {
            folder: etcd.folder("store"),
        }
    }

    /// What all keys begin with.
    pub(super) fn all(&self) -> Vec<u8> {
        self.folder.clone().into_bytes()
    }

    /// What the keys of a database begin with.
    pub(super) fn of_database(&self, database: &str) -> Vec<u8> {
        let mut key = self.folder.clone();
        key.push_str(&names::folder([database]));
        key.into_bytes()
    }

    /// What the keys of a table begin with.
    pub(super) fn of_table(&self, table: Table<'_>) -> Vec<u8> {
        let mut key = self.folder.clone();
        key.push_str(&names::folder([table.database, table.table]));
        key.into_bytes()
    }

    /// The key of a record.
    pub(super) fn of_record(&self, table: Table<'_>, key: &str) -> Vec<u8> {
        let mut place = self.of_table(table);
        place.extend(key.as_bytes());
        place
    }
}
