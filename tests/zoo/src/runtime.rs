//! The zoo's runtime: it starts nothing and says so.

use futures::stream;
use micro_plugin_api::prelude::*;

use crate::Zoo;

impl Runtime for Zoo {
    async fn start(&self, _: &Call, spec: &Spec) -> Result<Instance> {
        self.act(&spec.key.name).await?;
        Ok(Instance {
            key: spec.key.clone(),
            state: State::Exited(Exit {
                code: Some(spec.command.len() as i32),
                ..Exit::default()
            }),
            pid: None,
            started_at: 1,
            run: spec.run.clone(),
            restarts: 0,
        })
    }

    async fn stop(&self, _: &Call, key: &InstanceKey, options: &StopOptions) -> Result<()> {
        self.act(&key.name).await?;
        Err(Error::not_found(format!(
            "{key} is not in the zoo, also not for {} ms",
            options.grace_ms
        )))
    }

    async fn list(&self, _: &Call, namespace: Option<&str>) -> Result<Vec<Instance>> {
        let mut instance = Instance::default();
        instance.key.namespace = namespace.unwrap_or("every").to_owned();
        Ok(vec![instance])
    }

    async fn logs(
        &self,
        _: &Call,
        key: &InstanceKey,
        options: &LogOptions,
    ) -> Result<BoxStream<Result<LogLine>>> {
        let name = key.name.clone();
        let lines = (0..options.tail.unwrap_or(1)).map(move |at| {
            Ok(LogLine {
                text: format!("{name} {at}"),
                timestamp: None,
            })
        });
        Ok(Box::pin(stream::iter(lines)))
    }

    async fn watch(&self, _: &Call) -> Result<BoxStream<Result<InstanceChange>>> {
        Ok(Box::pin(stream::iter([Ok(InstanceChange::Synced)])))
    }

    async fn health(&self, _: &Call) -> Result<()> {
        self.health.act(self.slow).await
    }

    async fn shutdown(&self, _: &Call) -> Result<()> {
        self.shutdown.act(self.slow).await
    }
}
