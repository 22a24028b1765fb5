//! The store: records by key, in the namespace's database and the service's own table unless told otherwise.
//!
//! ```no_run
#![doc = include_str!("../examples/store.rs")]
//! ```

mod commit;
mod watch;

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use micro_proto::store as proto;
use proto::{
    DatabasesRequest, DeleteOptions, DeleteRequest, Field, ListOptions, ListRequest, ReadOptions,
    ReadRequest, TablesRequest, WriteOptions, WriteRequest, store_client::StoreClient,
};
use tonic::Request;

pub use self::{
    commit::{Commit, Condition, Version},
    watch::{Change, Changes},
};
use crate::{Client, Error, ServiceChannel, client::unary};

impl Client {
    /// The store of the platform, used on this client's own account.
    #[must_use]
    pub fn store(&self) -> Store {
        Store {
            channel: self.core("store"),
            database: self.namespace().to_owned(),
            table: self.table().to_owned(),
        }
    }
}

/// One table of the store.
#[derive(Clone, Debug)]
pub struct Store {
    channel: ServiceChannel,
    database: String,
    table: String,
}

/// A value with its key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// What it is found by.
    pub key: String,
    /// What it holds.
    pub value: Bytes,
    /// How long it lives from when it is written, or has left when it is read; whole seconds, and at
    /// least one. `None` is for ever.
    pub expiry: Option<Duration>,
    /// What else is known of it.
    pub metadata: BTreeMap<String, String>,
}

impl Record {
    /// A record that never expires.
    pub fn new(key: impl Into<String>, value: impl Into<Bytes>) -> Self {
        Self {
            key: key.into(),
            value: value.into(),
            ..Self::default()
        }
    }

    /// The record with a time to live.
    #[must_use]
    pub fn expires_in(mut self, expiry: Duration) -> Self {
        self.expiry = Some(expiry);
        self
    }
}

/// Which records, by the beginning and end of their keys, and which part of them in which order.
#[derive(Clone, Debug, Default)]
pub struct Query {
    prefix: String,
    suffix: String,
    limit: u64,
    offset: u64,
    descending: bool,
}

impl Query {
    /// All records, by ascending key.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Those whose keys begin so.
    pub fn prefix(prefix: impl Into<String>) -> Self {
        Self {
            prefix: prefix.into(),
            ..Self::default()
        }
    }

    /// Those whose keys end so.
    pub fn suffix(suffix: impl Into<String>) -> Self {
        Self {
            suffix: suffix.into(),
            ..Self::default()
        }
    }

    /// Those whose keys end so as well. Together with a prefix this is for [`Store::list`] alone.
    #[must_use]
    pub fn and_suffix(mut self, suffix: impl Into<String>) -> Self {
        self.suffix = suffix.into();
        self
    }

    /// No more than this many; zero is all.
    #[must_use]
    pub fn limit(mut self, limit: u64) -> Self {
        self.limit = limit;
        self
    }

    /// Without the first ones.
    #[must_use]
    pub fn offset(mut self, offset: u64) -> Self {
        self.offset = offset;
        self
    }

    /// By descending key.
    #[must_use]
    pub fn descending(mut self) -> Self {
        self.descending = true;
        self
    }

    fn order(&self) -> String {
        if self.descending { "desc" } else { "asc" }.to_owned()
    }
}

impl Store {
    /// The same store, another database; blank is the namespace's.
    #[must_use]
    pub fn database(mut self, database: impl Into<String>) -> Self {
        self.database = database.into();
        self
    }

    /// The same store, another table.
    #[must_use]
    pub fn table(mut self, table: impl Into<String>) -> Self {
        self.table = table.into();
        self
    }

    fn client(&self) -> StoreClient<ServiceChannel> {
        StoreClient::new(self.channel.clone()).max_decoding_message_size(crate::MAX_MESSAGE)
    }

    /// For what must not be done twice.
    fn client_once(&self) -> StoreClient<ServiceChannel> {
        let channel = self.channel.clone().with(|options| options.retries(0));
        StoreClient::new(channel).max_decoding_message_size(crate::MAX_MESSAGE)
    }

    /// The record of this key; `None` if there is none, or no longer.
    ///
    /// # Errors
    /// What the store answered.
    pub async fn read(&self, key: impl Into<String>) -> Result<Option<Record>, Error> {
        let options = ReadOptions {
            database: self.database.clone(),
            table: self.table.clone(),
            ..ReadOptions::default()
        };
        let request = ReadRequest {
            key: key.into(),
            options: Some(options),
        };
        match self
            .client()
            .read(unary(Request::new(request)))
            .await
            .map_err(Error::from)
        {
            Ok(response) => Ok(response
                .into_inner()
                .records
                .into_iter()
                .next()
                .map(Record::from)),
            Err(error) if error.code == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The records of a query; an empty list if there are none. The query has a prefix or a suffix,
    /// not both.
    ///
    /// # Errors
    /// 400 for both, else what the store answered.
    pub async fn read_many(&self, query: Query) -> Result<Vec<Record>, Error> {
        let order = query.order();
        let (key, prefix, suffix) = match (query.prefix, query.suffix) {
            (prefix, suffix) if suffix.is_empty() => (prefix, true, false),
            (prefix, suffix) if prefix.is_empty() => (suffix, false, true),
            _ => {
                let detail =
                    "records are read by prefix or by suffix; list the keys by both instead";
                return Err(Error::bad_request("store.Store.Read", detail));
            }
        };
        let options = ReadOptions {
            database: self.database.clone(),
            table: self.table.clone(),
            prefix,
            suffix,
            limit: query.limit,
            offset: query.offset,
            order,
            versions: false,
        };
        let request = ReadRequest {
            key,
            options: Some(options),
        };
        let response = self
            .client()
            .read(unary(Request::new(request)))
            .await?
            .into_inner();
        Ok(response.records.into_iter().map(Record::from).collect())
    }

    /// The keys of a query.
    ///
    /// # Errors
    /// What the store answered.
    pub async fn list(&self, query: Query) -> Result<Vec<String>, Error> {
        let options = ListOptions {
            database: self.database.clone(),
            table: self.table.clone(),
            order: query.order(),
            prefix: query.prefix,
            suffix: query.suffix,
            limit: query.limit,
            offset: query.offset,
        };
        let request = ListRequest {
            options: Some(options),
        };
        let mut pages = self
            .client()
            .list(Request::new(request))
            .await?
            .into_inner();
        let mut keys = Vec::new();
        while let Some(page) = pages.message().await? {
            keys.extend(page.keys);
        }
        Ok(keys)
    }

    /// Writes a record, over the one of its key if there is one.
    ///
    /// # Errors
    /// What the store answered; 400 for an expiry of less than a second, which the store cannot tell
    /// from none.
    pub async fn write(&self, record: Record) -> Result<(), Error> {
        let record = record.try_into()?;
        let options = WriteOptions {
            database: self.database.clone(),
            table: self.table.clone(),
        };
        let request = WriteRequest {
            record: Some(record),
            options: Some(options),
        };
        self.client().write(unary(Request::new(request))).await?;
        Ok(())
    }

    /// Deletes the record of a key; there need not be one.
    ///
    /// # Errors
    /// What the store answered.
    pub async fn delete(&self, key: impl Into<String>) -> Result<(), Error> {
        let options = DeleteOptions {
            database: self.database.clone(),
            table: self.table.clone(),
        };
        let request = DeleteRequest {
            key: key.into(),
            options: Some(options),
        };
        self.client().delete(unary(Request::new(request))).await?;
        Ok(())
    }

    /// The databases that there are; for admins of the platform.
    ///
    /// # Errors
    /// What the store answered.
    pub async fn databases(&self) -> Result<Vec<String>, Error> {
        let request = unary(Request::new(DatabasesRequest {}));
        Ok(self
            .client()
            .databases(request)
            .await?
            .into_inner()
            .databases)
    }

    /// The tables of this database.
    ///
    /// # Errors
    /// What the store answered.
    pub async fn tables(&self) -> Result<Vec<String>, Error> {
        let request = unary(Request::new(TablesRequest {
            database: self.database.clone(),
        }));
        Ok(self.client().tables(request).await?.into_inner().tables)
    }
}

impl From<proto::Record> for Record {
    fn from(record: proto::Record) -> Self {
        Self {
            key: record.key,
            value: record.value,
            expiry: u64::try_from(record.expiry)
                .ok()
                .filter(|seconds| *seconds > 0)
                .map(Duration::from_secs),
            metadata: record
                .metadata
                .into_iter()
                .map(|(key, field)| (key, field.value))
                .collect(),
        }
    }
}

impl TryFrom<Record> for proto::Record {
    type Error = Error;

    fn try_from(record: Record) -> Result<Self, Error> {
        let seconds = record.expiry.map_or(0, |expiry| expiry.as_secs());
        if record.expiry.is_some() && seconds == 0 {
            let detail = format!("the expiry of {:?} is less than a second", record.key);
            return Err(Error::bad_request("store.Store.Write", detail));
        }
        let field = |value| Field {
            r#type: "string".to_owned(),
            value,
        };
        Ok(Self {
            key: record.key,
            value: record.value,
            expiry: i64::try_from(seconds).unwrap_or(i64::MAX),
            metadata: record
                .metadata
                .into_iter()
                .map(|(key, v)| (key, field(v)))
                .collect(),
            version: None,
        })
    }
}
