//! A registry within one process, to begin from.

use std::time::Duration;

use micro_plugin_api::prelude::*;

/// What is registered. Fed from what a backend tells, it is the local copy that answers for it.
struct Backend(Catalog);

impl Backend {
    fn open(_: NoSettings, _: Host) -> Result<Self> {
        Ok(Self(Catalog::new()))
    }
}

impl Registry for Backend {
    async fn register(&self, _: &Call, service: &Service, ttl: Option<Duration>) -> Result<()> {
        self.0.register(service, ttl)
    }

    async fn deregister(&self, _: &Call, service: &Service) -> Result<()> {
        self.0.deregister(service);
        Ok(())
    }

    async fn list(&self, _: &Call, filter: &Filter) -> Result<Vec<Service>> {
        Ok(self.0.list(filter))
    }

    async fn watch(&self, _: &Call, filter: &Filter) -> Result<BoxStream<Result<Change>>> {
        Ok(self.0.watch(filter))
    }
}

export_plugin! { name: "atlas", registry: Backend::open, run = inline }

#[cfg(test)]
#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_its_contract() {
    let open =
        async || Backend::open(NoSettings {}, Host::new("", "", "")).map(RegistryHandle::new);
    let suite = micro_plugin_conformance::registry::suite().of(&PLUGIN.capabilities());
    suite.run(open).await.assert_passed();
}
