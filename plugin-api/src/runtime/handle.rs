//! A runtime as the host calls it, wherever the implementation lives.

use std::sync::Arc;

use super::{
    Instance, InstanceChange, InstanceKey, LogLine, LogOptions, Runtime, Spec, StopOptions,
};
use crate::{BoxFuture, BoxStream, Call, Result};

/// [`Runtime`] behind a pointer: an async trait has no `dyn` of its own.
pub(crate) trait DynRuntime: Send + Sync {
    fn start<'a>(&'a self, call: &'a Call, spec: &'a Spec) -> BoxFuture<'a, Result<Instance>>;
    fn stop<'a>(
        &'a self,
        call: &'a Call,
        key: &'a InstanceKey,
        options: &'a StopOptions,
    ) -> BoxFuture<'a, Result<()>>;
    fn list<'a>(
        &'a self,
        call: &'a Call,
        namespace: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Vec<Instance>>>;
    fn logs<'a>(
        &'a self,
        call: &'a Call,
        key: &'a InstanceKey,
        options: &'a LogOptions,
    ) -> BoxFuture<'a, Result<BoxStream<Result<LogLine>>>>;
    fn watch<'a>(
        &'a self,
        call: &'a Call,
    ) -> BoxFuture<'a, Result<BoxStream<Result<InstanceChange>>>>;
    fn health<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>>;
    fn shutdown<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>>;
}

impl<T: Runtime> DynRuntime for T {
    fn start<'a>(&'a self, call: &'a Call, spec: &'a Spec) -> BoxFuture<'a, Result<Instance>> {
        Box::pin(Runtime::start(self, call, spec))
    }
    fn stop<'a>(
        &'a self,
        call: &'a Call,
        key: &'a InstanceKey,
        options: &'a StopOptions,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(Runtime::stop(self, call, key, options))
    }
    fn list<'a>(
        &'a self,
        call: &'a Call,
        namespace: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Vec<Instance>>> {
        Box::pin(Runtime::list(self, call, namespace))
    }
    fn logs<'a>(
        &'a self,
        call: &'a Call,
        key: &'a InstanceKey,
        options: &'a LogOptions,
    ) -> BoxFuture<'a, Result<BoxStream<Result<LogLine>>>> {
        Box::pin(Runtime::logs(self, call, key, options))
    }
    fn watch<'a>(
        &'a self,
        call: &'a Call,
    ) -> BoxFuture<'a, Result<BoxStream<Result<InstanceChange>>>> {
        Box::pin(Runtime::watch(self, call))
    }
    fn health<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>> {
        Box::pin(Runtime::health(self, call))
    }
    fn shutdown<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>> {
        Box::pin(Runtime::shutdown(self, call))
    }
}

/// A runtime, in this program or in a loaded library. Clones share it.
#[derive(Clone)]
pub struct RuntimeHandle(Arc<dyn DynRuntime>);

impl<T: Runtime> From<Arc<T>> for RuntimeHandle {
    /// The handle of an implementation that is shared, as one value that is several modules is.
    fn from(runtime: Arc<T>) -> Self {
        Self(runtime)
    }
}

impl RuntimeHandle {
    /// The handle of an implementation in this program.
    pub fn new(runtime: impl Runtime) -> Self {
        Self(Arc::new(runtime))
    }

    /// The handle of what only this crate can name: a client of a library.
    pub(crate) fn from_dyn(runtime: Arc<dyn DynRuntime>) -> Self {
        Self(runtime)
    }

    /// See [`Runtime::start`].
    pub async fn start(&self, call: &Call, spec: &Spec) -> Result<Instance> {
        self.0.start(call, spec).await
    }

    /// See [`Runtime::stop`].
    pub async fn stop(&self, call: &Call, key: &InstanceKey, options: &StopOptions) -> Result<()> {
        self.0.stop(call, key, options).await
    }

    /// See [`Runtime::list`].
    pub async fn list(&self, call: &Call, namespace: Option<&str>) -> Result<Vec<Instance>> {
        self.0.list(call, namespace).await
    }

    /// See [`Runtime::logs`].
    pub async fn logs(
        &self,
        call: &Call,
        key: &InstanceKey,
        options: &LogOptions,
    ) -> Result<BoxStream<Result<LogLine>>> {
        self.0.logs(call, key, options).await
    }

    /// See [`Runtime::watch`].
    pub async fn watch(&self, call: &Call) -> Result<BoxStream<Result<InstanceChange>>> {
        self.0.watch(call).await
    }

    /// See [`Runtime::health`].
    pub async fn health(&self, call: &Call) -> Result<()> {
        self.0.health(call).await
    }

    /// See [`Runtime::shutdown`].
    pub async fn shutdown(&self, call: &Call) -> Result<()> {
        self.0.shutdown(call).await
    }
}
