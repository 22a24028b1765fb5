//! The store as the host calls it, wherever the implementation lives.

use std::sync::Arc;

use super::{Commit, ListQuery, Page, Record, RecordChange, Store, Table, Version, rules};
use crate::{BoxFuture, BoxStream, Call, Result};

/// [`Store`] behind a pointer: an async trait has no `dyn` of its own.
pub(crate) trait DynStore: Send + Sync {
    fn read<'a>(
        &'a self,
        call: &'a Call,
        table: Table<'a>,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<Record>>>;
    fn list<'a>(
        &'a self,
        call: &'a Call,
        table: Table<'a>,
        query: &'a ListQuery<'a>,
    ) -> BoxFuture<'a, Result<Page>>;
    fn commit<'a>(&'a self, call: &'a Call, commit: &'a Commit) -> BoxFuture<'a, Result<Version>>;
    fn databases<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<Vec<String>>>;
    fn tables<'a>(
        &'a self,
        call: &'a Call,
        database: &'a str,
    ) -> BoxFuture<'a, Result<Vec<String>>>;
    fn watch<'a>(
        &'a self,
        call: &'a Call,
        table: Table<'a>,
        prefix: &'a str,
    ) -> BoxFuture<'a, Result<BoxStream<Result<RecordChange>>>>;
    fn health<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>>;
    fn shutdown<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>>;
}

impl<T: Store> DynStore for T {
    fn read<'a>(
        &'a self,
        call: &'a Call,
        table: Table<'a>,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<Record>>> {
        Box::pin(Store::read(self, call, table, key))
    }
    fn list<'a>(
        &'a self,
        call: &'a Call,
        table: Table<'a>,
        query: &'a ListQuery<'a>,
    ) -> BoxFuture<'a, Result<Page>> {
        Box::pin(Store::list(self, call, table, query))
    }
    fn commit<'a>(&'a self, call: &'a Call, commit: &'a Commit) -> BoxFuture<'a, Result<Version>> {
        Box::pin(Store::commit(self, call, commit))
    }
    fn databases<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<Vec<String>>> {
        Box::pin(Store::databases(self, call))
    }
    fn tables<'a>(
        &'a self,
        call: &'a Call,
        database: &'a str,
    ) -> BoxFuture<'a, Result<Vec<String>>> {
        Box::pin(Store::tables(self, call, database))
    }
    fn watch<'a>(
        &'a self,
        call: &'a Call,
        table: Table<'a>,
        prefix: &'a str,
    ) -> BoxFuture<'a, Result<BoxStream<Result<RecordChange>>>> {
        Box::pin(Store::watch(self, call, table, prefix))
    }
    fn health<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>> {
        Box::pin(Store::health(self, call))
    }
    fn shutdown<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>> {
        Box::pin(Store::shutdown(self, call))
    }
}

/// A store, in this program or in a loaded library. Clones share it.
#[derive(Clone)]
pub struct StoreHandle(Arc<dyn DynStore>);

impl<T: Store> From<Arc<T>> for StoreHandle {
    /// The handle of an implementation that is shared, as one value that is several modules is.
    fn from(store: Arc<T>) -> Self {
        Self(store)
    }
}

impl StoreHandle {
    /// The handle of an implementation in this program.
    pub fn new(store: impl Store) -> Self {
        Self(Arc::new(store))
    }

    /// The handle of what only this crate can name: a client of a library.
    pub(crate) fn from_dyn(store: Arc<dyn DynStore>) -> Self {
        Self(store)
    }

    /// See [`Store::read`].
    ///
    /// Fails with `invalid` for a name or key that is longer than any store has to take.
    pub async fn read(&self, call: &Call, table: Table<'_>, key: &str) -> Result<Option<Record>> {
        table.validate()?;
        rules::validate_key(key)?;
        self.0.read(call, table, key).await
    }

    /// See [`Store::list`].
    ///
    /// Fails with `invalid` as [`Self::read`] does.
    pub async fn list(&self, call: &Call, table: Table<'_>, query: &ListQuery<'_>) -> Result<Page> {
        table.validate()?;
        rules::validate_key(query.prefix)?;
        rules::validate_key(query.suffix)?;
        self.0.list(call, table, query).await
    }

    /// See [`Store::commit`].
    ///
    /// Fails with `invalid` as [`Self::read`] does.
    pub async fn commit(&self, call: &Call, commit: &Commit) -> Result<Version> {
        for operation in &commit.operations {
            operation.validate()?;
        }
        self.0.commit(call, commit).await
    }

    /// See [`Store::databases`].
    pub async fn databases(&self, call: &Call) -> Result<Vec<String>> {
        self.0.databases(call).await
    }

    /// See [`Store::tables`].
    pub async fn tables(&self, call: &Call, database: &str) -> Result<Vec<String>> {
        Table::new(database, "").validate()?;
        self.0.tables(call, database).await
    }

    /// See [`Store::watch`].
    pub async fn watch(
        &self,
        call: &Call,
        table: Table<'_>,
        prefix: &str,
    ) -> Result<BoxStream<Result<RecordChange>>> {
        table.validate()?;
        rules::validate_key(prefix)?;
        self.0.watch(call, table, prefix).await
    }

    /// See [`Store::health`].
    pub async fn health(&self, call: &Call) -> Result<()> {
        self.0.health(call).await
    }

    /// See [`Store::shutdown`].
    pub async fn shutdown(&self, call: &Call) -> Result<()> {
        self.0.shutdown(call).await
    }
}
