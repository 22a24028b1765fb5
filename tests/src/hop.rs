//! A runtime of processes that lives on whatever runs it, as one in a library does: a server that
//! dies does not take it along.

use std::sync::Arc;

use micro_plugin_api::{
    BoxStream, Call, Error, Result, Runtime,
    runtime::{Instance, InstanceChange, InstanceKey, LogLine, LogOptions, Spec, StopOptions},
};
use micro_process::ProcessRuntime;
use tokio::runtime::Handle;

/// Does every call on the tokio runtime that it was made on.
pub(crate) struct Hop {
    inner: Arc<ProcessRuntime>,
    on: Handle,
}

impl Hop {
    pub(crate) fn new(inner: ProcessRuntime) -> Self {
        Self {
            inner: Arc::new(inner),
            on: Handle::current(),
        }
    }

    async fn run<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let done = self.on.spawn(work).await;
        done.map_err(|error| Error::internal(format!("a call of the runtime failed: {error}")))?
    }
}

impl Runtime for Hop {
    async fn start(&self, call: &Call, spec: &Spec) -> Result<Instance> {
        let (inner, call, spec) = (self.inner.clone(), call.clone(), spec.clone());
        self.run(async move { inner.start(&call, &spec).await })
            .await
    }

    async fn stop(&self, call: &Call, key: &InstanceKey, options: &StopOptions) -> Result<()> {
        let (inner, call, key) = (self.inner.clone(), call.clone(), key.clone());
        let options = options.clone();
        self.run(async move { inner.stop(&call, &key, &options).await })
            .await
    }

    async fn list(&self, call: &Call, namespace: Option<&str>) -> Result<Vec<Instance>> {
        let (inner, call) = (self.inner.clone(), call.clone());
        let namespace = namespace.map(str::to_owned);
        self.run(async move { inner.list(&call, namespace.as_deref()).await })
            .await
    }

    async fn logs(
        &self,
        call: &Call,
        key: &InstanceKey,
        options: &LogOptions,
    ) -> Result<BoxStream<Result<LogLine>>> {
        let (inner, call, key) = (self.inner.clone(), call.clone(), key.clone());
        let options = options.clone();
        self.run(async move { inner.logs(&call, &key, &options).await })
            .await
    }

    async fn watch(&self, call: &Call) -> Result<BoxStream<Result<InstanceChange>>> {
        let (inner, call) = (self.inner.clone(), call.clone());
        self.run(async move { inner.watch(&call).await }).await
    }

    async fn health(&self, call: &Call) -> Result<()> {
        let (inner, call) = (self.inner.clone(), call.clone());
        self.run(async move { inner.health(&call).await }).await
    }

    async fn shutdown(&self, call: &Call) -> Result<()> {
        let (inner, call) = (self.inner.clone(), call.clone());
        self.run(async move { inner.shutdown(&call).await }).await
    }
}
