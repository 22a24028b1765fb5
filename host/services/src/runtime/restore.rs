//! What a server does with the services of before it: those whose processes run on are taken over,
//! the others are started again, and what nobody knows of is ended.

use std::{collections::HashSet, time::Duration};

use micro_plugin_api::{
    Call, Result,
    runtime::{Instance, State, StopOptions},
};

use super::{
    Manager, artifact,
    keeper::Keeper,
    record::{self, Kept, Record},
    run::{Begin, Run, Task},
    status::Status,
};

/// How long to wait before a module is asked again that could not answer.
const RETRY: Duration = Duration::from_secs(1);

impl Manager {
    /// Takes over or starts again every service that this server ran before, ends every process
    /// that belongs to none, and removes what earlier runs and builds left behind. To be called
    /// once, when services that start can reach the platform; answers when it is settled what
    /// becomes of each. Tries again until the modules can answer.
    pub async fn restore(&self) {
        let owner = self.0.config.server.clone();
        let ended = tokio::task::spawn_blocking(move || micro_builder::end_strays(&owner)).await;
        if let Ok(ended @ 1..) = ended {
            tracing::warn!(
                ended,
                "ended processes of builds that an earlier server had begun"
            );
        }
        let mut keeper = Keeper::new(self);
        let mut is_told = false;
        loop {
            // First the lease: what this server ran is its own from then on, or another's already.
            let restored = match &mut keeper {
                Some(keeper) => keeper.acquire().await,
                None => Ok(()),
            };
            let restored = match restored {
                Ok(()) => self.try_restore().await,
                failed => failed,
            };
            let Err(error) = restored else { break };
            if is_told {
                tracing::debug!(%error, "still cannot bring services back");
            } else {
                tracing::error!(%error, "cannot bring services back yet; trying again");
            }
            is_told = true;
            tokio::time::sleep(RETRY).await;
        }
        if is_told {
            tracing::info!("services are brought back");
        }
        if let Some(keeper) = keeper {
            self.0.keeping.begin(&self.0.background, keeper);
        }
        self.0.restored.cancel();
    }

    async fn try_restore(&self) -> Result<()> {
        let call = Call::new("");
        let inner = &self.0;
        let runtime = inner.modules.runtime();
        // In this order: whatever another server starts meanwhile has a record by then.
        let instances = runtime.list(&call, None).await?;
        let records = record::list(&inner.modules, &call, None).await?;
        let known: HashSet<_> = records.iter().map(|record| record.run.clone()).collect();
        for stray in instances
            .iter()
            .filter(|instance| !instance.run.is_empty() && !known.contains(&instance.run))
        {
            tracing::warn!(service = %stray.key, "ending a service of which there is no record");
            let options = StopOptions {
                grace_ms: inner.config.stop_grace.as_millis() as u64,
            };
            if let Err(error) = runtime.stop(&call, &stray.key, &options).await {
                tracing::error!(service = %stray.key, %error, "cannot stop a service");
            }
        }
        let own: Vec<_> = records
            .into_iter()
            .filter(|record| record.server == inner.config.server)
            .collect();
        let kept: HashSet<_> = own
            .iter()
            .map(|record| inner.folder_of(&record.key).join(&record.run))
            .collect();
        let services_dir = inner.config.services_dir.clone();
        artifact::sweep(services_dir, move |folder| kept.contains(folder)).await;
        for record in own {
            let instance = instances
                .iter()
                .find(|instance| instance.key == record.key && instance.run == record.run);
            self.bring_back(record, instance);
        }
        Ok(())
    }

    fn bring_back(&self, record: Record, instance: Option<&Instance>) {
        let inner = &self.0;
        if record.status == Status::Stopping {
            // Somebody killed it while the earlier server ended.
            self.delete_in_background(record.key);
            return;
        }
        if record.is_over || inner.is_closing() {
            return;
        }
        let runs = instance.is_some_and(|instance| instance.state == State::Running);
        // One that was told of a platform elsewhere would never find this one.
        let is_ours = record.platform == inner.config.network_address;
        let artifact = record.artifact.as_ref().and_then(Kept::artifact);
        let key = record.key.clone();
        let this = Run::new(record.run.clone());
        inner.runs().insert(key.clone(), this.clone());
        let task = Task::new(inner.clone(), key, record.plan.clone(), this);
        let begin = match artifact {
            Some(artifact) if runs && is_ours => Begin::Adopt(artifact, Box::new(record)),
            _ => Begin::Again(record.artifact),
        };
        inner.background.spawn(task.run(begin));
    }
}
