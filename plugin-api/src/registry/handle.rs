//! A registry as the host calls it, wherever the implementation lives.

use std::{sync::Arc, time::Duration};

use super::{Change, Filter, Registry, Service};
use crate::{BoxFuture, BoxStream, Call, Result};

/// [`Registry`] behind a pointer: an async trait has no `dyn` of its own.
pub(crate) trait DynRegistry: Send + Sync {
    fn register<'a>(
        &'a self,
        call: &'a Call,
        service: &'a Service,
        ttl: Option<Duration>,
    ) -> BoxFuture<'a, Result<()>>;
    fn deregister<'a>(&'a self, call: &'a Call, service: &'a Service) -> BoxFuture<'a, Result<()>>;
    fn list<'a>(
        &'a self,
        call: &'a Call,
        filter: &'a Filter,
    ) -> BoxFuture<'a, Result<Vec<Service>>>;
    fn watch<'a>(
        &'a self,
        call: &'a Call,
        filter: &'a Filter,
    ) -> BoxFuture<'a, Result<BoxStream<Result<Change>>>>;
    fn health<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>>;
    fn shutdown<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>>;
}

impl<T: Registry> DynRegistry for T {
    fn register<'a>(
        &'a self,
        call: &'a Call,
        service: &'a Service,
        ttl: Option<Duration>,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(Registry::register(self, call, service, ttl))
    }
    fn deregister<'a>(&'a self, call: &'a Call, service: &'a Service) -> BoxFuture<'a, Result<()>> {
        Box::pin(Registry::deregister(self, call, service))
    }
    fn list<'a>(
        &'a self,
        call: &'a Call,
        filter: &'a Filter,
    ) -> BoxFuture<'a, Result<Vec<Service>>> {
        Box::pin(Registry::list(self, call, filter))
    }
    fn watch<'a>(
        &'a self,
        call: &'a Call,
        filter: &'a Filter,
    ) -> BoxFuture<'a, Result<BoxStream<Result<Change>>>> {
        Box::pin(Registry::watch(self, call, filter))
    }
    fn health<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>> {
        Box::pin(Registry::health(self, call))
    }
    fn shutdown<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>> {
        Box::pin(Registry::shutdown(self, call))
    }
}

/// A registry, in this program or in a loaded library. Clones share it.
#[derive(Clone)]
pub struct RegistryHandle(Arc<dyn DynRegistry>);

impl<T: Registry> From<Arc<T>> for RegistryHandle {
    /// The handle of an implementation that is shared, as one value that is several modules is.
    fn from(registry: Arc<T>) -> Self {
        Self(registry)
    }
}

impl RegistryHandle {
    /// The handle of an implementation in this program.
    pub fn new(registry: impl Registry) -> Self {
        Self(Arc::new(registry))
    }

    /// The handle of what only this crate can name: a client of a library.
    pub(crate) fn from_dyn(registry: Arc<dyn DynRegistry>) -> Self {
        Self(registry)
    }

    /// See [`Registry::register`].
    pub async fn register(
        &self,
        call: &Call,
        service: &Service,
        ttl: Option<Duration>,
    ) -> Result<()> {
        self.0.register(call, service, ttl).await
    }

    /// See [`Registry::deregister`].
    pub async fn deregister(&self, call: &Call, service: &Service) -> Result<()> {
        self.0.deregister(call, service).await
    }

    /// See [`Registry::list`].
    pub async fn list(&self, call: &Call, filter: &Filter) -> Result<Vec<Service>> {
        self.0.list(call, filter).await
    }

    /// See [`Registry::watch`].
    pub async fn watch(&self, call: &Call, filter: &Filter) -> Result<BoxStream<Result<Change>>> {
        self.0.watch(call, filter).await
    }

    /// See [`Registry::health`].
    pub async fn health(&self, call: &Call) -> Result<()> {
        self.0.health(call).await
    }

    /// See [`Registry::shutdown`].
    pub async fn shutdown(&self, call: &Call) -> Result<()> {
        self.0.shutdown(call).await
    }
}
