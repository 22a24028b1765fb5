//! What these tests begin with: a database of their own, instances on it, and a look behind them.

use micro_test_backends::{PATIENCE, until};
use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::StreamExt as _;
use micro_plugin_api::{
    BlobHandle, BoxStream, Call, Error, Host, Result, Secret, StoreHandle,
    store::{Commit, Precondition, Put, RecordChange, Table, Version},
};
use micro_postgres::{Period, Postgres, Settings};
use sqlx::{Connection as _, PgConnection};

/// Where tests put their records.
pub(crate) const TABLE: Table<'static> = Table::new("database", "table");

/// The settings of an instance on a database, as patient as a busy machine needs.
pub(crate) fn settings(url: impl Into<String>) -> Settings {
    Settings {
        url: Secret::new(url),
        connect_timeout: Period::from_secs(30),
        timeout: Period::from_secs(60),
        statement_timeout: Period::from_secs(60),
        ..Settings::default()
    }
}

/// Why an instance is refused. On a busy machine the database may be found out only later, so
/// this asks again.
pub(crate) async fn refusal(settings: Settings) -> Error {
    until(async || Instance::open(settings.clone()).await.err()).await
}

/// The url of a new database in the server of the run.
pub(crate) async fn new_database() -> String {
    let server = micro_test_backends::Postgres::shared().await;
    server.url(&server.database("plugin").await)
}

/// A host that calls the plugin `postgres`.
pub(crate) fn host() -> Host {
    Host::new("postgres", "", "")
}

/// An open instance.
#[derive(Clone)]
pub(crate) struct Instance {
    pub(crate) store: StoreHandle,
    pub(crate) blob: BlobHandle,
}

impl Instance {
    pub(crate) async fn open(settings: Settings) -> Result<Self> {
        let postgres = Arc::new(Postgres::open(settings, host()).await?);
        Ok(Self {
            store: StoreHandle::from(postgres.clone()),
            blob: BlobHandle::from(postgres),
        })
    }

    pub(crate) async fn put(&self, key: &str, precondition: Precondition) -> Result<Version> {
        let commit = Commit::new().put(TABLE, key, precondition, text(key));
        self.store.commit(&call(), &commit).await
    }

    /// The value under a key.
    pub(crate) async fn value(&self, key: &str) -> Result<Option<Bytes>> {
        let record = self.store.read(&call(), TABLE, key).await?;
        Ok(record.map(|record| record.value))
    }
}

/// A call that may take as long as a busy machine needs.
pub(crate) fn call() -> Call {
    Call::new("test").with_timeout(PATIENCE)
}

/// A call that is over soon.
pub(crate) fn hasty() -> Call {
    Call::new("test").with_timeout(Duration::from_millis(500))
}

pub(crate) fn text(value: &str) -> Put {
    Put {
        value: Bytes::copy_from_slice(value.as_bytes()),
        ..Put::default()
    }
}

/// The next change of a watch.
pub(crate) async fn next(watch: &mut BoxStream<Result<RecordChange>>) -> Result<RecordChange> {
    let next = tokio::time::timeout(PATIENCE, watch.next()).await;
    next.expect("a change in time").expect("no end")
}

/// A session beside the plugin's, which sees its tables.
pub(crate) struct Behind(PgConnection);

impl Behind {
    pub(crate) async fn new(url: &str) -> Self {
        let mut connection = PgConnection::connect(url).await.unwrap();
        sqlx::query("SET search_path = micro")
            .execute(&mut connection)
            .await
            .unwrap();
        Self(connection)
    }

    pub(crate) async fn execute(&mut self, statement: &'static str) {
        sqlx::query(statement).execute(&mut self.0).await.unwrap();
    }

    /// Executes what was put together from names that are safe.
    pub(crate) async fn execute_owned(&mut self, statement: String) {
        let statement = sqlx::query(sqlx::AssertSqlSafe(statement));
        statement.execute(&mut self.0).await.unwrap();
    }

    /// The one number that a query brings.
    pub(crate) async fn number(&mut self, query: &'static str) -> i64 {
        sqlx::query_scalar(query)
            .fetch_one(&mut self.0)
            .await
            .unwrap()
    }
}
