//! The `store` module: ordered key-value records in tables of databases.

mod handle;
mod position;
mod rules;
mod types;
mod watchers;

pub(crate) use handle::DynStore;
pub use handle::StoreHandle;
pub use position::Position;
pub use rules::distinct;
pub use types::{
    Commit, Cursor, Expiry, Fields, ListQuery, Operation, Order, Page, Precondition, Put, Record,
    RecordChange, Table, Version,
};
pub use watchers::{WATCHER_BYTES, WATCHER_CHANGES, Watchers};

use crate::{BoxStream, Call, Error, Result};

/// Ordered key-value records in tables of databases. Keys are compared as bytes.
///
/// Databases and tables come into being with their first record. A record whose expiry has passed
/// is absent to reads, lists and preconditions alike, to the millisecond.
pub trait Store: Send + Sync + 'static {
    /// The record under exactly this key, or `None`.
    fn read(
        &self,
        call: &Call,
        table: Table<'_>,
        key: &str,
    ) -> impl Future<Output = Result<Option<Record>>> + Send;

    /// One page of the records that match, in key order.
    ///
    /// A walk along [`Page::next`] never repeats a key, and never skips one that was present
    /// throughout the walk. Fails with `invalid` for a cursor that this store did not give.
    fn list(
        &self,
        call: &Call,
        table: Table<'_>,
        query: &ListQuery<'_>,
    ) -> impl Future<Output = Result<Page>> + Send;

    /// Applies all operations, or none: the store's only write.
    ///
    /// Up to [`Commit::MAX_OPERATIONS`] operations, each key at most once (else `invalid`). Fails
    /// with `conflict`, naming the key, when a precondition does not hold. Returns the version
    /// that every record put by this commit now has.
    fn commit(&self, call: &Call, commit: &Commit) -> impl Future<Output = Result<Version>> + Send;

    /// The names of the databases that hold a record, in order.
    fn databases(&self, call: &Call) -> impl Future<Output = Result<Vec<String>>> + Send;

    /// The names of the tables of `database` that hold a record, in order.
    fn tables(
        &self,
        call: &Call,
        database: &str,
    ) -> impl Future<Output = Result<Vec<String>>> + Send;

    /// Every change that commits make to keys of `table` that begin with `prefix` (empty for all;
    /// taken literally), from the moment the call returns: in the order of the commits, and within
    /// a commit in that of its operations.
    ///
    /// Whoever watches first and lists then misses nothing: what the list does not show yet comes
    /// as a change, and a change may come that the list shows already. That a record expires is no
    /// change, and a delete of what is absent may be told or not.
    ///
    /// A watcher that does not read costs commits nothing: when too much waits for it, the stream
    /// ends with an error `unavailable` that may be retried, upon which it watches and lists
    /// again. [`Watchers`] does that for stores that see all commits themselves. The default fails
    /// with `unsupported`, for a plugin that says so with `lacks = ["store.watch"]`.
    fn watch(
        &self,
        _call: &Call,
        _table: Table<'_>,
        _prefix: &str,
    ) -> impl Future<Output = Result<BoxStream<Result<RecordChange>>>> + Send {
        async { Err(Error::unsupported("this store cannot be watched")) }
    }

    /// Whether the store could serve a call now. The default says yes.
    fn health(&self, _call: &Call) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// Finishes what is under way and lets go of what is held. Called once, when no call is left;
    /// the instance is dropped afterwards.
    fn shutdown(&self, _call: &Call) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }
}
