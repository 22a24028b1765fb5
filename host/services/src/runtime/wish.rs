//! What is asked of a service through another server than the one that runs it: it stands in the
//! service's record until that server takes note of it.

use micro_plugin_api::{Call, Code, Error, Result, runtime::InstanceKey};
use serde::{Deserialize, Serialize};

use super::{
    Manager,
    record::{self, Record},
    run::Run,
    status::Status,
    update::Change,
};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Wish {
    /// That the run in the record begins.
    Begin,
    /// That the service is built anew, with what changes.
    Update(Change),
    /// That the service ends. Its record has [`Status::Stopping`].
    Delete,
}

impl Wish {
    /// Writes it into a record.
    fn note(&self, record: &mut Record) {
        match (self, &record.wish) {
            // What has not begun yet begins as it shall be.
            (Self::Update(change), Some(Self::Begin)) => change.apply(record),
            (Self::Delete, _) => {
                record.status = Status::Stopping;
                record.wish = Some(Self::Delete);
            }
            _ => record.wish = Some(self.clone()),
        }
    }
}

impl Manager {
    /// Asks the server that runs a service for something; false if there is no such service.
    pub(super) async fn ask(&self, call: &Call, key: &InstanceKey, wish: Wish) -> Result<bool> {
        let modules = &self.0.modules;
        for _ in 0..record::ATTEMPTS {
            let Some((mut record, version)) = record::read(modules, call, key).await? else {
                return Ok(false);
            };
            if record.status == Status::Stopping && wish != Wish::Delete {
                return Err(Error::conflict(format!("{key} is being killed")));
            }
            wish.note(&mut record);
            match record::write_and_ring(modules, call, &record, Some(version)).await {
                Err(error) if error.code() == Code::CONFLICT => {}
                written => return written.map(|()| true),
            }
        }
        Err(record::changing(key))
    }

    /// Looks at the record of a service: does what was asked for through another server, and lets
    /// go of what another server runs now.
    pub(super) async fn take_note(&self, call: &Call, key: &InstanceKey) -> Result<Option<Record>> {
        let inner = &self.0;
        // Before the record is read: what is begun after that has one.
        let run = inner.runs().get(key).cloned();
        let found = record::read(&inner.modules, call, key).await?;
        let found = found.filter(|(record, _)| record.server == inner.config.server);
        let Some((mut record, version)) = found else {
            if let Some(run) = run {
                self.lose(key, &run);
            }
            return Ok(None);
        };
        let Some(wish) = record.wish.take() else {
            return Ok(Some(record));
        };
        match record::write(&inner.modules, call, &record, Some(version)).await {
            // Somebody asked for something else, and rang again.
            Err(error) if error.code() == Code::CONFLICT => return Ok(Some(record)),
            written => written?,
        }
        match wish {
            // After a restart it has begun with all that was there.
            Wish::Begin if run.as_ref().is_some_and(|run| run.id == record.run) => {}
            Wish::Begin => {
                inner.end_update(key).await;
                let this = Run::new(record.run.clone());
                self.begin(key.clone(), record.plan.clone(), this);
            }
            Wish::Update(change) => {
                self.update(call, key, change).await?;
            }
            Wish::Delete => {
                // One that was to be replaced, and now by nothing.
                if let Some(former) = run.filter(|run| run.id != record.run) {
                    former.journal.close();
                    former.cancel.cancel();
                }
                self.delete_in_background(key.clone());
            }
        }
        Ok(Some(record))
    }

    /// Ends a run of a service that another server has now.
    pub(super) fn lose(&self, key: &InstanceKey, run: &Run) {
        let mut runs = self.0.runs();
        if runs.get(key).is_some_and(|it| it.id == run.id) {
            tracing::warn!(service = %key, "another server has this service now; its process here ends");
            runs.remove(key);
        }
        run.lose();
    }
}
