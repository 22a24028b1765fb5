//! A store that counts what is asked of it, and fails while it is told to.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use micro_memory::MemoryStore;
use micro_plugin_api::{
    BoxStream, Call, Error, Result, Store,
    store::{Commit, ListQuery, Page, Record, RecordChange, Table, Version},
};

#[derive(Default)]
struct Shared {
    store: Arc<MemoryStore>,
    reads: AtomicU64,
    failing: AtomicBool,
}

/// A memory store under observation. Clones are the same store.
#[derive(Clone, Default)]
pub struct ObservedStore(Arc<Shared>);

impl ObservedStore {
    /// The same records, as another client sees them: asked and failing by itself.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self(Arc::new(Shared {
            store: self.0.store.clone(),
            ..Shared::default()
        }))
    }

    /// How often something was read or listed.
    pub fn reads(&self) -> u64 {
        self.0.reads.load(Ordering::SeqCst)
    }

    /// From now on every call fails as if the backend could not be reached, or none does.
    pub fn fail(&self, failing: bool) {
        self.0.failing.store(failing, Ordering::SeqCst);
    }

    fn check(&self) -> Result<()> {
        if self.0.failing.load(Ordering::SeqCst) {
            return Err(Error::unavailable("the backend is away"));
        }
        Ok(())
    }

    fn check_read(&self) -> Result<()> {
        self.0.reads.fetch_add(1, Ordering::SeqCst);
        self.check()
    }
}

impl Store for ObservedStore {
    async fn read(&self, call: &Call, table: Table<'_>, key: &str) -> Result<Option<Record>> {
        self.check_read()?;
        self.0.store.read(call, table, key).await
    }

    async fn list(&self, call: &Call, table: Table<'_>, query: &ListQuery<'_>) -> Result<Page> {
        self.check_read()?;
        self.0.store.list(call, table, query).await
    }

    async fn commit(&self, call: &Call, commit: &Commit) -> Result<Version> {
        self.check()?;
        self.0.store.commit(call, commit).await
    }

    async fn watch(
        &self,
        call: &Call,
        table: Table<'_>,
        prefix: &str,
    ) -> Result<BoxStream<Result<RecordChange>>> {
        self.check()?;
        self.0.store.watch(call, table, prefix).await
    }

    async fn databases(&self, call: &Call) -> Result<Vec<String>> {
        self.check_read()?;
        self.0.store.databases(call).await
    }

    async fn tables(&self, call: &Call, database: &str) -> Result<Vec<String>> {
        self.check_read()?;
        self.0.store.tables(call, database).await
    }
}
