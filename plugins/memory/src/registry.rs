//! The registry: services by domain, name and version, whose nodes expire by themselves.

use std::time::Duration;

use micro_plugin_api::{
    BoxStream, Call, Registry, Result,
    registry::{Catalog, Change, Filter, Service},
};

/// Services in this process's memory.
#[derive(Debug, Default)]
pub struct MemoryRegistry(Catalog);

impl MemoryRegistry {
    /// An empty registry.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Registry for MemoryRegistry {
    async fn register(&self, _call: &Call, service: &Service, ttl: Option<Duration>) -> Result<()> {
        self.0.register(service, ttl)
    }

    async fn deregister(&self, _call: &Call, service: &Service) -> Result<()> {
        self.0.deregister(service);
        Ok(())
    }

    async fn list(&self, _call: &Call, filter: &Filter) -> Result<Vec<Service>> {
        Ok(self.0.list(filter))
    }

    async fn watch(&self, _call: &Call, filter: &Filter) -> Result<BoxStream<Result<Change>>> {
        Ok(self.0.watch(filter))
    }
}
