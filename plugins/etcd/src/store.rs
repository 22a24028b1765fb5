//! The store: each record is a key of etcd, below its table and database.

mod commit;
mod key;
mod list;
mod names;
mod record;
mod watch;

use std::sync::Arc;

use micro_plugin_api::{
    BoxStream, Call, Error, Host, Result, Store,
    store::{Commit, ListQuery, Page, Record, RecordChange, Table, Version},
};

use self::key::Keys;
use crate::{
    Settings,
    client::{Etcd, Repeat},
    leases::Leases,
};

/// Records in etcd.
pub struct EtcdStore {
    etcd: Arc<Etcd>,
    keys: Keys,
    leases: Leases,
}

impl EtcdStore {
    /// The store of these settings. etcd need not be there yet: calls fail with `unavailable` until
    /// it is.
    ///
    /// # Errors
    /// `invalid` for settings that make no sense; `unavailable` if etcd refuses the user.
    pub async fn open(settings: Settings, _host: Host) -> Result<Self> {
        let etcd = Etcd::open(settings).await?;
        Ok(Self {
            keys: Keys::new(&etcd),
            leases: Leases::new(etcd.clone()),
            etcd,
        })
    }
}

impl Store for EtcdStore {
    async fn read(&self, call: &Call, table: Table<'_>, key: &str) -> Result<Option<Record>> {
        let place = self.keys.of_record(table, key);
        let mut answer = self
            .etcd
            .run(call, Repeat::Always, |mut clients| {
                let place = place.clone();
                async move { clients.kv.get(place, None).await }
            })
            .await?;
        let Some(stored) = answer.take_kvs().pop() else {
            return Ok(None);
        };
        let record = record::decode(key.to_owned(), stored).ok_or_else(|| damaged(table, key))?;
        Ok(Some(record).filter(|record| !record.has_expired()))
    }

    async fn list(&self, call: &Call, table: Table<'_>, query: &ListQuery<'_>) -> Result<Page> {
        list::page(self, call, table, query).await
    }

    async fn commit(&self, call: &Call, commit: &Commit) -> Result<Version> {
        commit::apply(self, call, commit).await
    }

    async fn databases(&self, call: &Call) -> Result<Vec<String>> {
        names::databases(self, call).await
    }

    async fn tables(&self, call: &Call, database: &str) -> Result<Vec<String>> {
        names::tables(self, call, database).await
    }

    async fn watch(
        &self,
        call: &Call,
        table: Table<'_>,
        prefix: &str,
    ) -> Result<BoxStream<Result<RecordChange>>> {
        watch::watch(self, call, table, prefix).await
    }

    async fn health(&self, call: &Call) -> Result<()> {
        self.etcd.health(call).await
    }
}

fn damaged(table: Table<'_>, key: &str) -> Error {
    Error::internal(format!(
        "key {key:?} of table {:?} in database {:?} holds in etcd what is no record of this plugin, or a \
         damaged one; delete it, or restore it from a backup",
        table.table, table.database
    ))
}
