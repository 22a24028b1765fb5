//! Writes records of a table in batches.

use micro_plugin_api::{
    Result, StoreHandle,
    store::{Commit, Precondition, Put, Record, Table},
};

use super::records::call;

/// The most bytes of one commit, but for a single record that is larger.
const COMMIT_BYTES: usize = 512 * 1024;

/// Writes records of a table in batches.
pub(super) struct Writer<'a> {
    store: &'a StoreHandle,
    table: Table<'a>,
    commit: Commit,
    bytes: usize,
}

impl<'a> Writer<'a> {
    pub(super) fn new(store: &'a StoreHandle, table: Table<'a>) -> Self {
        Self {
            store,
            table,
            commit: Commit::new(),
            bytes: 0,
        }
    }

    /// Whether a batch was written before it.
    pub(super) async fn put(&mut self, record: Record) -> Result<bool> {
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

    pub(super) async fn delete(&mut self, key: &str) -> Result<bool> {
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

    pub(super) async fn flush(&mut self) -> Result<()> {
        let commit = std::mem::take(&mut self.commit);
        self.bytes = 0;
        if commit.operations.is_empty() {
            return Ok(());
        }
        self.store.commit(&call(), &commit).await.map(drop)
    }
}
