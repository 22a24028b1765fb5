//! Commits that go to disk together: each sees what those before it have done.

use std::collections::HashMap;

use micro_plugin_api::{
    Result,
    store::{Commit, Expiry, Operation, Precondition, Version},
};

use crate::store::{
    engine::{Batch, Open},
    key,
    record::{self, Head},
};

/// Commits that were decided on and are not on disk yet.
pub(super) struct Group<'a> {
    engine: &'a Open,
    batch: Batch<'a>,
    /// What the commits of this group have made of the keys that they wrote.
    written: HashMap<Vec<u8>, Option<Head>>,
    version: Version,
    any: bool,
    /// The first of the expiries that were written.
    pub(super) soonest: Option<Expiry>,
}

impl<'a> Group<'a> {
    /// An empty group; the version of its first commit comes after `version`.
    pub(super) fn new(engine: &'a Open, version: Version) -> Self {
        Self {
            engine,
            batch: engine.durable_batch(),
            written: HashMap::new(),
            version,
            any: false,
            soonest: None,
        }
    }

    /// Adds a commit, if its preconditions hold.
    ///
    /// # Errors
    /// `conflict` if they do not, `internal` if a record that they are about is damaged.
    pub(super) fn add(&mut self, commit: &Commit) -> Result<Version> {
        let keys: Vec<_> = commit
            .operations
            .iter()
            .map(|operation| key::of_record(operation.table(), &operation.key))
            .collect();
        for (operation, key) in commit.operations.iter().zip(&keys) {
            if operation.precondition != Precondition::Any {
                operation.check(self.there(operation, key)?)?;
            }
        }
        // Each commit has its own, a commit of nothing too.
        let version = Version(self.version.0 + 1);
        self.version = version;
        self.any = true;
        for (operation, key) in commit.operations.iter().zip(keys) {
            self.change(operation, key, version);
        }
        Ok(version)
    }

    fn there(&self, operation: &Operation, key: &[u8]) -> Result<Option<Version>> {
        let head = match self.written.get(key) {
            Some(written) => *written,
            None => {
                let bytes = self.engine.read(operation.table(), &operation.key, key)?;
                let head = bytes.map(|bytes| record::verify(key, &bytes)).transpose();
                head.map_err(|_| self.engine.damaged(operation.table(), &operation.key))?
            }
        };
        let alive = head.filter(|head| !head.has_expired());
        Ok(alive.map(|head| head.version))
    }

    fn change(&mut self, operation: &Operation, key: Vec<u8>, version: Version) {
        let Some(put) = &operation.put else {
            self.batch.remove(key.clone());
            self.written.insert(key, None);
            return;
        };
        let expiry = put.expiry;
        if let Some(expiry) = expiry {
            // What it replaces is not looked up for the expiry that it had: whoever collects finds
            // that this one is another.
            self.batch.insert(key::of_expiry(expiry, &key), Vec::new());
            self.soonest = Some(self.soonest.map_or(expiry, |soonest| soonest.min(expiry)));
        }
        self.batch
            .insert(key.clone(), record::encode(&key, version, put));
        self.written.insert(key, Some(Head { version, expiry }));
    }

    /// Puts all of them on disk. Gives the last version, if there is any.
    ///
    /// # Errors
    /// Those of the engine, which must be opened again then.
    pub(super) fn commit(mut self) -> Result<Option<Version>> {
        if !self.any {
            return Ok(None);
        }
        let version = self.version.0.to_le_bytes().to_vec();
        self.batch.insert(key::LAST_VERSION.to_vec(), version);
        self.batch
            .commit()
            .map_err(|error| self.engine.failed("write", &error))?;
        Ok(Some(self.version))
    }
}
