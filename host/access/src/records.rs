//! The platform's own records in the store, as JSON.

use std::{future::Future, sync::Arc, time::Duration};

use micro_modules::{Modules, PLATFORM_DATABASE};
use micro_plugin_api::{
    Call, Code, Error,
    store::{Commit, ListQuery, Precondition, Put, Table, Version},
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::timeout;

use crate::{epoch::Epoch, tokens::unix_seconds};

/// Accounts, what finds them, and [`EPOCH_KEY`].
pub(crate) const ACCOUNTS: Table<'static> = Table::new(PLATFORM_DATABASE, "auth");
/// Rules.
pub(crate) const RULES: Table<'static> = Table::new(PLATFORM_DATABASE, "rules");

/// The record in [`ACCOUNTS`] whose version changes with every change that others must notice.
const EPOCH_KEY: &str = "epoch";

/// How long the store may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Why a record of the platform could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The store failed.
    #[error("{0}")]
    Store(#[from] Error),
    /// The record is there but makes no sense.
    #[error(
        "the record {key} in table {table} of the platform is damaged ({source}); restore or delete it"
    )]
    Damaged {
        /// The table.
        table: String,
        /// The key.
        key: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

impl RecordError {
    /// Whether a precondition of a commit did not hold.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Store(error) if error.code() == Code::CONFLICT)
    }

    /// Whether it may be otherwise a little later: the store does not answer.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self, Self::Store(error)
            if error.is_retryable() || matches!(error.code(), Code::UNAVAILABLE | Code::DEADLINE))
    }
}

/// Reads and writes records. Clones share everything.
#[derive(Clone)]
pub(crate) struct Records {
    modules: Arc<Modules>,
    epoch: Arc<Epoch>,
}

impl Records {
    pub(crate) fn new(modules: Arc<Modules>, epoch: Arc<Epoch>) -> Self {
        Self { modules, epoch }
    }

    pub(crate) fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    /// Whether the store still holds the platform that the server began with, asked now.
    pub(crate) async fn confirm_store(&self) -> Result<(), RecordError> {
        Ok(self.modules.confirm_store().await?)
    }

    /// The record under `key`, with its version.
    pub(crate) async fn read<T: DeserializeOwned>(
        &self,
        table: Table<'_>,
        key: &str,
    ) -> Result<Option<(T, Version)>, RecordError> {
        let store = self.modules.store();
        let call = call();
        let record = within(store.read(&call, table, key)).await?;
        record
            .map(|record| Ok((parse(table, key, &record.value)?, record.version)))
            .transpose()
    }

    /// Every record whose key begins with `prefix`, in key order.
    pub(crate) async fn list<T: DeserializeOwned>(
        &self,
        table: Table<'_>,
        prefix: &str,
    ) -> Result<Vec<T>, RecordError> {
        let store = self.modules.store();
        let mut all = Vec::new();
        let mut cursor = None;
        loop {
            let query = ListQuery {
                prefix,
                cursor: cursor.as_ref(),
                ..ListQuery::default()
            };
            let call = call();
            let page = within(store.list(&call, table, &query)).await?;
            for record in &page.records {
                all.push(parse(table, &record.key, &record.value)?);
            }
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(all),
            }
        }
    }

    /// Writes what takes nothing away from anybody.
    pub(crate) async fn commit(&self, commit: Commit) -> Result<(), RecordError> {
        let store = self.modules.store();
        within(store.commit(&call(), &commit)).await?;
        Ok(())
    }

    /// Writes what every server must notice: their [`Epoch`] advances, ours at once.
    pub(crate) async fn commit_and_tell(&self, commit: Commit) -> Result<(), RecordError> {
        let epoch = put(&unix_seconds());
        let commit = commit.put(ACCOUNTS, EPOCH_KEY, Precondition::Any, epoch);
        let result = self.commit(commit).await;
        // A commit whose answer got lost may have happened.
        self.epoch.advance();
        result
    }

    /// The version of the epoch record, `None` before the first change.
    pub(crate) async fn epoch_version(&self) -> Result<Option<Version>, RecordError> {
        let read = self.read::<u64>(ACCOUNTS, EPOCH_KEY).await?;
        self.epoch.mark_read();
        Ok(read.map(|(_, version)| version))
    }
}

/// The value of a record.
pub(crate) fn put(value: &impl Serialize) -> Put {
    let value = serde_json::to_vec(value).expect("our records are structs with string keys");
    Put {
        value: value.into(),
        ..Put::default()
    }
}

fn call() -> Call {
    Call::new(PLATFORM_DATABASE).with_timeout(TIMEOUT)
}

fn parse<T: DeserializeOwned>(table: Table<'_>, key: &str, value: &[u8]) -> Result<T, RecordError> {
    serde_json::from_slice(value).map_err(|source| RecordError::Damaged {
        table: table.table.to_owned(),
        key: key.to_owned(),
        source,
    })
}

/// A store that keeps no deadline must not hold up those who wait for it.
async fn within<T>(answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    timeout(TIMEOUT, answer).await.unwrap_or_else(|_| {
        Err(Error::deadline(format!(
            "the store did not answer within {} s",
            TIMEOUT.as_secs()
        )))
    })
}
