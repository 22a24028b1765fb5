//! The store: records in one table of the database, commits through one task, watches by a log.

mod batch;
mod list;
mod names;
#[cfg(test)]
mod plans;
mod poll;
mod read;
mod record;
mod transaction;
mod watch;
mod writer;

use micro_plugin_api::{
    BoxStream, Call, Error, Result, Store,
    store::{Commit, ListQuery, Page, Record, RecordChange, Table, Version},
};
use sqlx::{PgConnection, query_scalar};

pub(crate) use self::{watch::Watching, writer::Writer};
use crate::{Postgres, database::Work};

/// The milliseconds since the Unix epoch by the database's clock, when the statement began. In a
/// query of its own, it is not worked out for each row.
macro_rules! now {
    () => {
        "(SELECT floor(extract(epoch FROM statement_timestamp()) * 1000)::BIGINT)"
    };
}
pub(crate) use now;

/// That a record has not expired.
macro_rules! present {
    () => {
        concat!("(expiry IS NULL OR expiry > ", $crate::store::now!(), ")")
    };
}
pub(crate) use present;

impl Store for Postgres {
    async fn read(&self, call: &Call, table: Table<'_>, key: &str) -> Result<Option<Record>> {
        self.database.run(call, &read::Read::new(table, key)).await
    }

    async fn list(&self, call: &Call, table: Table<'_>, query: &ListQuery<'_>) -> Result<Page> {
        match list::List::new(table, query)? {
            Some(list) => self.database.run(call, &list).await,
            None => Ok(Page::default()),
        }
    }

    async fn commit(&self, call: &Call, commit: &Commit) -> Result<Version> {
        commit.validate()?;
        self.writer.commit(self.database.until(call), commit).await
    }

    async fn databases(&self, call: &Call) -> Result<Vec<String>> {
        self.database.run(call, &names::Databases).await
    }

    async fn tables(&self, call: &Call, database: &str) -> Result<Vec<String>> {
        self.database.run(call, &names::Tables { database }).await
    }

    async fn watch(
        &self,
        call: &Call,
        table: Table<'_>,
        prefix: &str,
    ) -> Result<BoxStream<Result<RecordChange>>> {
        let until = self.database.until(call);
        self.watching.watch(until, table, prefix).await
    }

    async fn health(&self, call: &Call) -> Result<()> {
        self.check(call).await
    }

    async fn shutdown(&self, call: &Call) -> Result<()> {
        self.close(call).await;
        Ok(())
    }
}

impl Postgres {
    /// Whether the database answers, asked once: whoever asks does so again by himself.
    pub(crate) async fn check(&self, call: &Call) -> Result<()> {
        let until = self.database.until(call).into();
        let name = self.database.name();
        match tokio::time::timeout_at(until, self.database.attempt(&Probe)).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(Error::unavailable(format!(
                "{name}: it takes no writes, as a standby does; see the setting `url`"
            ))),
            Ok(Err(failure)) => Err(failure.to_error(name)),
            Err(_) => Err(self.database.no_answer()),
        }
    }
}

/// Looks whether the database answers and has the tables.
pub(crate) struct Probe;

impl Work for Probe {
    /// Whether it takes writes.
    type Output = bool;

    async fn run(&self, connection: &mut PgConnection) -> sqlx::Result<bool> {
        query_scalar(
            "SELECT current_setting('transaction_read_only') = 'off' FROM clock WHERE id = 1",
        )
        .fetch_one(connection)
        .await
    }
}
