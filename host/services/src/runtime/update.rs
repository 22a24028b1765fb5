//! `Runtime.Update`: the new source is built while the old one serves on, and takes its place only
//! once that has worked.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use micro_builder::Artifact;
use micro_plugin_api::{Call, Code, Error, Result, runtime::InstanceKey};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    Manager,
    manager::now,
    record::{self, Kept, Record},
    run::{End, Run, Task, failed},
    status::Status,
    wish::Wish,
};

/// How long the events of an update that failed are kept for who asks for them.
const KEPT: Duration = Duration::from_secs(60);

/// How often the swap is tried again when somebody else wrote the record in between.
const ATTEMPTS: usize = 16;

/// What an update changes; what is `None` stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Change {
    /// The namespace and key of the blob that holds the source.
    pub(crate) source: Option<(String, String)>,
    pub(crate) entrypoint: Option<PathBuf>,
    /// Added to what there is. Nobody changes the owner so.
    pub(crate) metadata: BTreeMap<String, String>,
}

impl Change {
    /// Does what the change says.
    pub(super) fn apply(&self, record: &mut Record) {
        if let Some(source) = &self.source {
            record.source.clone_from(&source.1);
            record.plan.source.clone_from(source);
        }
        if let Some(entrypoint) = &self.entrypoint {
            record.plan.entrypoint.clone_from(entrypoint);
        }
        for (name, value) in &self.metadata {
            if !matches!(name.as_str(), "owner" | "group" | "started") {
                record.metadata.insert(name.clone(), value.clone());
            }
        }
    }
}

impl Manager {
    /// Begins to build a service anew, in place of an update that is being built already. False if
    /// there is no such service. The journal of the update tells how it goes on.
    pub(crate) async fn update(
        &self,
        call: &Call,
        key: &InstanceKey,
        change: Change,
    ) -> Result<bool> {
        self.0.admit().await?;
        let Some((mut record, _)) = record::read(&self.0.modules, call, key).await? else {
            return Ok(false);
        };
        if record.status == Status::Stopping {
            return Err(Error::conflict(format!("{key} is being killed")));
        }
        if self.owner(call, &record).await?.is_some() {
            return self.ask(call, key, Wish::Update(change)).await;
        }
        change.apply(&mut record);
        let this = Run::new(Uuid::now_v7().to_string());
        this.journal.status(Status::Pending, "", Vec::new());
        let before = self.0.updates().insert(key.clone(), this.clone());
        if let Some(before) = before {
            before.journal.close();
            before.end().await;
        }
        let task = Task::new(self.0.clone(), key.clone(), record.plan, this);
        self.0.background.spawn(task.update(change));
        Ok(true)
    }
}

impl Task {
    /// Builds, swaps, and runs to its end.
    async fn update(self, change: Change) {
        let _done = self.this.done.clone().drop_guard();
        let journal = &self.this.journal;
        journal.status(Status::Building, "", Vec::new());
        let swapped = match self.build().await {
            Ok(artifact) => self.swap(&change, &artifact).await.map(|()| artifact),
            Err(end) => Err(end),
        };
        let end = match swapped {
            Ok(artifact) => self.live(artifact).await,
            Err(end) => {
                self.give_up(end).await;
                return;
            }
        };
        self.finish(end).await;
    }

    /// Makes the record this run's, and ends the run that had it.
    async fn swap(&self, change: &Change, artifact: &Artifact) -> Result<(), End> {
        let modules = &self.inner.modules;
        for _ in 0..ATTEMPTS {
            if self.this.cancel.is_cancelled() {
                return Err(End::Cancelled);
            }
            let found = record::read(modules, &self.call, &self.key).await;
            let found = found.map_err(|error| failed(error.message()))?;
            let Some((mut record, version)) = found.filter(|(it, _)| it.status != Status::Stopping)
            else {
                return Err(failed("it was killed meanwhile"));
            };
            if self.inner.config.lease.is_some() && record.server != self.inner.config.server {
                return Err(failed("another server took the service over meanwhile"));
            }
            change.apply(&mut record);
            record.run.clone_from(&self.this.id);
            record.server.clone_from(&self.inner.config.server);
            record.status = Status::Starting;
            record.error = String::new();
            record.retry_at = None;
            record.update_error = String::new();
            record.is_over = false;
            record.artifact = Some(Kept::of(artifact));
            record.metadata.insert("started".to_owned(), now());
            match record::write(modules, &self.call, &record, Some(version)).await {
                Ok(()) => {
                    let previous = {
                        let mut runs = self.inner.runs();
                        let mut updates = self.inner.updates();
                        if updates
                            .get(&self.key)
                            .is_some_and(|it| it.id == self.this.id)
                        {
                            updates.remove(&self.key);
                        }
                        runs.insert(self.key.clone(), self.this.clone())
                    };
                    if let Some(previous) = previous {
                        previous.journal.close();
                        previous.end().await;
                    }
                    return Ok(());
                }
                Err(error) if error.code() == Code::CONFLICT => {}
                Err(error) => return Err(failed(error.message())),
            }
        }
        Err(failed("its record is being changed by others; try again"))
    }

    /// Leaves the service as it was, and says why.
    async fn give_up(&self, end: End) {
        if let Err(error) = super::artifact::remove(&self.folder).await {
            tracing::warn!(service = %self.key, %error, "cannot remove the files of an update");
        }
        let journal = &self.this.journal;
        let End::Failed { reason, output } = end else {
            journal.close();
            return;
        };
        tracing::info!(service = %self.key, %reason, "an update failed; the service stays as it is");
        let (modules, key) = (&self.inner.modules, &self.key);
        if let Ok(Some((record, _))) = record::read(modules, &self.call, key).await {
            let note = |record: &mut Record| record.update_error.clone_from(&reason);
            if let Err(error) = record::update(modules, &self.call, key, &record.run, note).await {
                tracing::warn!(service = %key, %error, "cannot record that an update failed");
            }
        }
        journal.status(Status::Error, &reason, output);
        // Who asked for the update may be about to ask how it went.
        tokio::select! {
            () = self.this.cancel.cancelled() => {}
            () = tokio::time::sleep(KEPT) => {}
        }
        journal.close();
        let mut updates = self.inner.updates();
        if updates.get(key).is_some_and(|it| it.id == self.this.id) {
            updates.remove(key);
        }
    }
}
