//! The rules of the `store` module.

mod beyond;
mod commit;
mod concurrency;
mod expiry;
mod list;
mod records;
mod walk;
mod watch;

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use micro_plugin_api::{
    Call, Result, StoreHandle,
    store::{Commit, Expiry, ListQuery, Precondition, Put, Record, Table, Version},
};

use crate::{Suite, check::unique};

/// Every rule of the `store` module.
pub fn suite() -> Suite<StoreHandle> {
    let groups = [
        records::cases(),
        list::cases(),
        walk::cases(),
        expiry::cases(),
        commit::cases(),
        concurrency::cases(),
        watch::cases(),
        beyond::cases(),
    ];
    Suite::new("store", groups.into_iter().flatten().collect())
}

/// A store with a database of its own: what a case works in.
#[derive(Clone)]
struct Scope {
    store: StoreHandle,
    call: Call,
    database: String,
}

const TABLE: &str = "table";

impl Scope {
    fn new(store: StoreHandle) -> Self {
        Self::of(store, unique("db"))
    }

    fn of(store: StoreHandle, database: String) -> Self {
        Self {
            store,
            call: Call::new(&database).with_timeout(Duration::from_secs(30)),
            database,
        }
    }

    fn table(&self) -> Table<'_> {
        Table::new(&self.database, TABLE)
    }

    async fn commit(&self, commit: Commit) -> Result<Version> {
        self.store.commit(&self.call, &commit).await
    }

    async fn put(&self, key: &str, value: &str) -> Result<Version> {
        self.write(key, Precondition::Any, text(value)).await
    }

    async fn put_until(&self, key: &str, expiry: Expiry) -> Result<Version> {
        let put = Put {
            expiry: Some(expiry),
            ..text(key)
        };
        self.write(key, Precondition::Any, put).await
    }

    async fn write(&self, key: &str, precondition: Precondition, put: Put) -> Result<Version> {
        self.commit(Commit::new().put(self.table(), key, precondition, put))
            .await
    }

    async fn delete(&self, key: &str) -> Result<Version> {
        self.commit(Commit::new().delete(self.table(), key, Precondition::Any))
            .await
    }

    async fn read(&self, key: &str) -> Result<Option<Record>> {
        self.store.read(&self.call, self.table(), key).await
    }

    /// The value under a key, as text.
    async fn text(&self, key: &str) -> Result<Option<String>> {
        let record = self.read(key).await?;
        Ok(record.map(|record| String::from_utf8_lossy(&record.value).into_owned()))
    }

    /// Every record that matches, from all pages.
    async fn records(&self, query: ListQuery<'_>) -> Result<Vec<Record>> {
        self.records_in(self.table(), query).await
    }

    async fn records_in(&self, table: Table<'_>, query: ListQuery<'_>) -> Result<Vec<Record>> {
        let (mut records, mut cursor) = (Vec::new(), None);
        loop {
            let query = ListQuery {
                cursor: cursor.as_ref(),
                ..query.clone()
            };
            let page = self.store.list(&self.call, table, &query).await?;
            records.extend(page.records);
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(records),
            }
        }
    }

    /// The keys that match, from all pages.
    async fn keys(&self, query: ListQuery<'_>) -> Result<Vec<String>> {
        let records = self.records(query).await?;
        Ok(records.into_iter().map(|record| record.key).collect())
    }

    /// The first `limit` keys that match: pages until there are so many.
    async fn first_keys(&self, limit: usize, query: ListQuery<'_>) -> Result<Vec<String>> {
        let (mut keys, mut cursor) = (Vec::new(), None);
        loop {
            let query = ListQuery {
                limit: limit - keys.len(),
                cursor: cursor.as_ref(),
                ..query.clone()
            };
            let page = self.store.list(&self.call, self.table(), &query).await?;
            keys.extend(page.records.into_iter().map(|record| record.key));
            match page.next {
                Some(next) if keys.len() < limit => cursor = Some(next),
                _ => return Ok(keys),
            }
        }
    }
}

fn text(value: &str) -> Put {
    Put {
        value: Bytes::copy_from_slice(value.as_bytes()),
        metadata: BTreeMap::new(),
        expiry: None,
    }
}

/// Keys that a store which takes keys for paths, patterns or ASCII gets wrong.
const ODD_KEYS: [&str; 22] = [
    "a/b",
    "/a",
    "a/",
    "//",
    "../a",
    ".",
    "a%b",
    "a_b",
    "a*b?",
    "[a]",
    "a\\b",
    "a'b\"c",
    "a;b--",
    " a ",
    "a\nb\tc",
    "a\0b",
    "A",
    "a",
    "é",
    "e\u{301}",
    "日本語",
    "🦀",
];
