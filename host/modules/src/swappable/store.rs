//! Records through what is live.

use std::{
    borrow::Cow,
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use micro_plugin_api::{
    BoxFuture, BoxStream, Call, Result, Store, StoreHandle,
    store::{Commit, ListQuery, Page, Precondition, Record, RecordChange, Table, Version},
};

use super::{
    changed::{Changed, FullKey},
    cursor::Place,
};
use crate::{live::Live, moving::Resume, slot::Slot, trust::Trust};

/// The store that is live.
pub(crate) struct SwappableStore {
    pub(crate) slot: Arc<Slot<StoreHandle>>,
    pub(crate) changed: Arc<Changed<FullKey>>,
    pub(crate) trust: Arc<Trust>,
}

impl SwappableStore {
    /// What is live, if it is known to be the store that the server began with.
    async fn live(&self, call: &Call) -> Result<Arc<Live<StoreHandle>>> {
        let live = self.slot.live()?;
        self.trust.check(call, &live.handle).await?;
        Ok(live)
    }
}

impl Live<StoreHandle> {
    /// A version of this store as the rest of the server has it.
    fn version_out(&self, version: Version) -> Version {
        Version(version.0.wrapping_add(self.versions_from))
    }

    fn record_out(&self, record: Record) -> Record {
        Record {
            version: self.version_out(record.version),
            ..record
        }
    }

    fn commit_in<'a>(&self, commit: &'a Commit) -> Cow<'a, Commit> {
        if self.versions_from == 0 {
            return Cow::Borrowed(commit);
        }
        let mut commit = commit.clone();
        for operation in &mut commit.operations {
            if let Precondition::Version(version) = &mut operation.precondition {
                *version = Version(version.0.wrapping_sub(self.versions_from));
            }
        }
        Cow::Owned(commit)
    }
}

impl Store for SwappableStore {
    async fn read(&self, call: &Call, table: Table<'_>, key: &str) -> Result<Option<Record>> {
        let _pass = self.slot.gate.read(call).await?;
        let live = self.live(call).await?;
        let record = self.trust.note(live.handle.read(call, table, key).await)?;
        Ok(record.map(|record| live.record_out(record)))
    }

    async fn list(&self, call: &Call, table: Table<'_>, query: &ListQuery<'_>) -> Result<Page> {
        let _pass = self.slot.gate.read(call).await?;
        let live = self.live(call).await?;
        let place = query.cursor.map(Place::from_cursor).transpose()?;
        let page = match &place {
            Some(place) if place.generation != live.generation => {
                place.find_again(&live.handle, call, table, query).await?
            }
            _ => {
                let cursor = place.as_ref().map(|place| place.cursor.clone());
                let query = ListQuery {
                    cursor: cursor.as_ref(),
                    ..query.clone()
                };
                self.trust
                    .note(live.handle.list(call, table, &query).await)?
            }
        };
        let last = page.records.last().map(|record| record.key.clone());
        let last = last.or_else(|| place.and_then(|place| place.last));
        let next = page.next.map(|cursor| Place {
            generation: live.generation,
            last,
            cursor,
        });
        let records = page.records.into_iter();
        Ok(Page {
            records: records.map(|record| live.record_out(record)).collect(),
            next: next.map(|place| place.to_cursor()),
        })
    }

    async fn commit(&self, call: &Call, commit: &Commit) -> Result<Version> {
        let _pass = self.slot.gate.write(call).await?;
        let live = self.live(call).await?;
        let keys = || {
            commit.operations.iter().map(|operation| {
                (
                    operation.database.clone(),
                    operation.table.clone(),
                    operation.key.clone(),
                )
            })
        };
        let commit_in = live.commit_in(commit);
        let done = live.handle.commit(call, &commit_in);
        let done = self.changed.noting(keys, done).await;
        Ok(live.version_out(self.trust.note(done)?))
    }

    async fn databases(&self, call: &Call) -> Result<Vec<String>> {
        let _pass = self.slot.gate.read(call).await?;
        let live = self.live(call).await?;
        self.trust.note(live.handle.databases(call).await)
    }

    async fn tables(&self, call: &Call, database: &str) -> Result<Vec<String>> {
        let _pass = self.slot.gate.read(call).await?;
        let live = self.live(call).await?;
        self.trust.note(live.handle.tables(call, database).await)
    }

    async fn watch(
        &self,
        call: &Call,
        table: Table<'_>,
        prefix: &str,
    ) -> Result<BoxStream<Result<RecordChange>>> {
        let _pass = self.slot.gate.write(call).await?;
        let live = self.live(call).await?;
        let source = self
            .trust
            .note(live.handle.watch(call, table, prefix).await)?;
        let resume = Watch {
            database: table.database.to_owned(),
            table: table.table.to_owned(),
            prefix: prefix.to_owned(),
            versions_from: live.versions_from,
            overlap: None,
        };
        Ok(self.slot.moving(live, source, resume))
    }

    async fn health(&self, call: &Call) -> Result<()> {
        let _pass = self.slot.gate.read(call).await?;
        self.slot.live()?.handle.health(call).await
    }
}

/// A watch. While it is open on two instances, which may be of one backend, what came by the first
/// is left out when it comes by the second too.
struct Watch {
    database: String,
    table: String,
    prefix: String,
    versions_from: u64,
    overlap: Option<Overlap>,
}

/// Key and version of each change that came by the first of two instances while it was open on both.
enum Overlap {
    /// It is read from the first.
    Told(HashSet<(String, u64)>),
    /// It is read from the second.
    Coming(HashSet<(String, u64)>),
}

impl Resume<StoreHandle> for Watch {
    type Item = RecordChange;
    const COLLECTS: bool = true;

    fn open(
        &self,
        live: &Live<StoreHandle>,
    ) -> BoxFuture<'static, Result<BoxStream<Result<RecordChange>>>> {
        let handle = live.handle.clone();
        let (database, table) = (self.database.clone(), self.table.clone());
        let prefix = self.prefix.clone();
        Box::pin(async move {
            let table = Table::new(&database, &table);
            handle.watch(&super::resuming(), table, &prefix).await
        })
    }

    fn pass(&mut self, mut change: RecordChange, ready: &mut VecDeque<RecordChange>) {
        let (RecordChange::Put(Record { version, .. }) | RecordChange::Deleted { version, .. }) =
            &mut change;
        version.0 = version.0.wrapping_add(self.versions_from);
        let known = || (change.key().to_owned(), change.version().0);
        match &mut self.overlap {
            Some(Overlap::Told(told)) => {
                told.insert(known());
            }
            Some(Overlap::Coming(told)) if told.contains(&known()) => return,
            // What came by both comes first.
            Some(Overlap::Coming(_)) => self.overlap = None,
            None => {}
        }
        ready.push_back(change);
    }

    fn overlaps(&mut self) {
        self.overlap = Some(Overlap::Told(HashSet::new()));
    }

    fn stays(&mut self) {
        self.overlap = None;
    }

    fn moved(&mut self, live: &Arc<Live<StoreHandle>>, _same: bool) {
        self.versions_from = live.versions_from;
        self.overlap = match self.overlap.take() {
            Some(Overlap::Told(told)) if !told.is_empty() => Some(Overlap::Coming(told)),
            _ => None,
        };
    }
}
