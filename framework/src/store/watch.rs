//! What others write, as it happens.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures::Stream;
use micro_proto::store::{WatchOptions, WatchRequest, WatchResponse};
use tonic::{Request, Streaming};

use super::{Record, Store, commit::Version};
use crate::Error;

/// What happened to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The record was written, new or in place of a former one.
    Put(Record, Version),
    /// There is no record any more.
    Deleted {
        /// The key.
        key: String,
        /// The version of the commit that deleted it.
        version: Version,
    },
}

impl Store {
    /// Every change to keys that begin with `prefix` (empty for all) from the moment this returns,
    /// in the order in which they were made. That a record expires is no change.
    ///
    /// Watch first and list or read then, to miss nothing: what is read may come once more as a
    /// change. The stream ends with an error when the connection is lost, or when so much waits
    /// unread that the platform gave up: watch and list again then.
    ///
    /// # Errors
    /// What the store answered; 501 if the platform's store cannot be watched.
    pub async fn watch(&self, prefix: impl Into<String>) -> Result<Changes, Error> {
        let options = WatchOptions {
            database: self.database.clone(),
            table: self.table.clone(),
            prefix: prefix.into(),
        };
        let request = WatchRequest {
            options: Some(options),
        };
        let answers = self.client().watch(Request::new(request)).await?;
        Ok(Changes(answers.into_inner()))
    }
}

/// A watch: a stream of changes. Dropping it ends the watch.
#[derive(Debug)]
pub struct Changes(Streaming<WatchResponse>);

impl Stream for Changes {
    type Item = Result<Change, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.0).poll_next(cx).map(|told| {
            told.map(|told| {
                let told = told?;
                let record = told.record.unwrap_or_default();
                let version = Version(record.version.unwrap_or_default());
                Ok(if told.deleted {
                    let key = record.key;
                    Change::Deleted { key, version }
                } else {
                    Change::Put(record.into(), version)
                })
            })
        })
    }
}
