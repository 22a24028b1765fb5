//! Several writes that happen together or not at all, under conditions on what is there.

use micro_proto::store::{
    CommitRequest, Operation, ReadOptions, ReadRequest, operation::Precondition,
};
use tonic::Request;

use super::{Record, Store};
use crate::{Error, client::unary};

/// The version of a record: never given to another state of its key. Only equality means anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Version(pub u64);

/// What must hold of a key for a commit to go through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    #[default]
    None,
    /// There is no record.
    Absent,
    /// The record is the one that was read or written with this version.
    Version(Version),
}

/// Writes that happen together or not at all: up to 64, no key twice.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    writes: Vec<(String, Condition, Option<Record>)>,
}

impl Commit {
    /// No writes yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// And this record written.
    #[must_use]
    pub fn put(mut self, record: Record, condition: Condition) -> Self {
        self.writes
            .push((record.key.clone(), condition, Some(record)));
        self
    }

    /// And the record of this key deleted; without a condition there need not be one.
    #[must_use]
    pub fn delete(mut self, key: impl Into<String>, condition: Condition) -> Self {
        self.writes.push((key.into(), condition, None));
        self
    }
}

impl Store {
    /// Does all writes of a commit, or none. Gives the version that the records written have now.
    ///
    /// It is not repeated when it fails: a commit that went through without an answer would meet
    /// its own versions.
    ///
    /// # Errors
    /// 409 if a condition does not hold: read again and decide anew. Else what the store answered.
    pub async fn commit(&self, commit: Commit) -> Result<Version, Error> {
        let operations = commit
            .writes
            .into_iter()
            .map(|(key, condition, record)| self.operation(key, condition, record))
            .collect::<Result<_, _>>()?;
        let request = unary(Request::new(CommitRequest { operations }));
        let answer = self.client_once().commit(request).await?;
        Ok(Version(answer.into_inner().version))
    }

    fn operation(
        &self,
        key: String,
        condition: Condition,
        record: Option<Record>,
    ) -> Result<Operation, Error> {
        Ok(Operation {
            database: self.database.clone(),
            table: self.table.clone(),
            key,
            precondition: match condition {
                Condition::None => None,
                Condition::Absent => Some(Precondition::Absent(true)),
                Condition::Version(version) => Some(Precondition::Version(version.0)),
            },
            delete: record.is_none(),
            put: record.map(TryInto::try_into).transpose()?,
        })
    }

    /// The record of a key, with its version for the [`Condition`] of a commit.
    ///
    /// # Errors
    /// What the store answered.
    pub async fn read_version(
        &self,
        key: impl Into<String>,
    ) -> Result<Option<(Record, Version)>, Error> {
        let options = ReadOptions {
            database: self.database.clone(),
            table: self.table.clone(),
            versions: true,
            ..ReadOptions::default()
        };
        let request = ReadRequest {
            key: key.into(),
            options: Some(options),
        };
        let read = self.client().read(unary(Request::new(request))).await;
        let records = match read.map_err(Error::from) {
            Ok(response) => response.into_inner().records,
            Err(error) if error.code == 404 => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(records.into_iter().next().map(|record| {
            let version = Version(record.version.unwrap_or_default());
            (record.into(), version)
        }))
    }
}
