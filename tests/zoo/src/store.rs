//! The zoo's store.

use std::future::Future;

use micro_plugin_api::prelude::*;

use crate::{Zoo, behaviour::PANIC_AT_ONCE, journal::Leaves};

fn record(key: &str, value: Bytes) -> Record {
    // Where the bytes are, so that a test can tell whether they were copied.
    let address = (value.as_ptr() as usize).to_string();
    Record {
        key: key.to_owned(),
        value,
        metadata: [("address".to_owned(), address)].into(),
        version: Version(1),
        expiry: None,
    }
}

impl Store for Zoo {
    async fn read(&self, _: &Call, table: Table<'_>, key: &str) -> Result<Option<Record>> {
        self.calls.act(self.slow).await?;
        if let Some(cage) = &self.cage {
            return Ok(cage.read(table, key));
        }
        self.act(key).await?;
        Ok(match key {
            "large" => Some(record(key, self.large.clone())),
            "small" => Some(record(key, self.large.slice(..100))),
            _ => None,
        })
    }

    fn list(
        &self,
        _: &Call,
        table: Table<'_>,
        query: &ListQuery<'_>,
    ) -> impl Future<Output = Result<Page>> + Send {
        assert_ne!(query.prefix, PANIC_AT_ONCE, "asked to panic at once");
        let kept = self.cage.as_ref().map(|cage| cage.list(table, query));
        let prefix = query.prefix.to_owned();
        async move {
            if let Some(kept) = kept {
                return kept;
            }
            self.act(&prefix).await?;
            Ok(Page::default())
        }
    }

    async fn commit(&self, _: &Call, commit: &Commit) -> Result<Version> {
        self.calls.act(self.slow).await?;
        if let Some(cage) = &self.cage {
            return cage.commit(commit);
        }
        for operation in &commit.operations {
            let mut leaves = Leaves {
                journal: self.journal.clone(),
                line: "write given up",
            };
            self.journal.write("writing");
            self.act(&operation.key).await?;
            leaves.line = "write finished";
        }
        Ok(Version(2))
    }

    async fn databases(&self, call: &Call) -> Result<Vec<String>> {
        if let Some(cage) = &self.cage {
            return Ok(cage.databases());
        }
        let trace = call.trace();
        Ok(vec![
            call.namespace().to_owned(),
            trace.traceparent.clone(),
            trace.tracestate.clone(),
            call.remaining().is_some().to_string(),
        ])
    }

    async fn tables(&self, _: &Call, database: &str) -> Result<Vec<String>> {
        if let Some(cage) = &self.cage {
            return Ok(cage.tables(database));
        }
        self.act(database).await?;
        Ok(Vec::new())
    }

    async fn health(&self, _: &Call) -> Result<()> {
        self.health.act(self.slow).await
    }

    async fn shutdown(&self, _: &Call) -> Result<()> {
        self.journal.write("shutting down");
        self.shutdown.act(self.slow).await
    }
}
