//! The rules of the `registry` module.

mod beyond;
mod expiry;
mod records;
mod watch;
mod watchers;

use std::time::Duration;

use futures::StreamExt as _;
use micro_plugin_api::{
    BoxStream, Call, RegistryHandle, Result,
    registry::{Change, Filter, Node, Service},
};

use crate::{
    Suite,
    check::{MOST_ITEMS, Stop, Verdict, unique},
};

/// Every rule of the `registry` module.
pub fn suite() -> Suite<RegistryHandle> {
    let groups = [
        records::cases(),
        expiry::cases(),
        watch::cases(),
        watchers::cases(),
        beyond::cases(),
    ];
    Suite::new("registry", groups.into_iter().flatten().collect())
}

/// A registry with a domain of its own: what a case works in.
#[derive(Clone)]
struct Scope {
    registry: RegistryHandle,
    call: Call,
    domain: String,
}

impl Scope {
    fn new(registry: RegistryHandle) -> Self {
        Self::of(registry, unique("domain"))
    }

    fn of(registry: RegistryHandle, domain: String) -> Self {
        Self {
            registry,
            call: Call::new(&domain),
            domain,
        }
    }

    /// A service of this domain, version `latest`, with these nodes.
    fn service(&self, name: &str, nodes: &[&str]) -> Service {
        Service {
            domain: self.domain.clone(),
            name: name.to_owned(),
            version: "latest".to_owned(),
            nodes: nodes.iter().map(|id| node(id)).collect(),
            ..Service::default()
        }
    }

    fn filter(&self) -> Filter {
        Filter {
            domain: Some(self.domain.clone()),
            name: None,
        }
    }

    async fn register(&self, service: &Service) -> Result<()> {
        self.registry.register(&self.call, service, None).await
    }

    async fn register_for(&self, service: &Service, ttl: Duration) -> Result<()> {
        self.registry.register(&self.call, service, Some(ttl)).await
    }

    async fn deregister(&self, service: &Service) -> Result<()> {
        self.registry.deregister(&self.call, service).await
    }

    /// What this domain holds, the nodes of each service in order of their ids.
    async fn list(&self) -> Result<Vec<Service>> {
        let services = self.registry.list(&self.call, &self.filter()).await?;
        Ok(services.into_iter().map(sorted).collect())
    }

    /// The ids of a service's nodes, in order; none when it is not there.
    async fn nodes(&self, name: &str) -> Result<Vec<String>> {
        let services = self.list().await?;
        let found = services.into_iter().find(|service| service.name == name);
        Ok(found.map_or_else(Vec::new, |service| node_ids(&service)))
    }

    async fn watch(&self, filter: &Filter) -> Result<Changes> {
        Ok(Changes(self.registry.watch(&self.call, filter).await?))
    }
}

/// A watch as a case reads it.
struct Changes(BoxStream<Result<Change>>);

impl Changes {
    /// The next change; fails when none comes within ten seconds, or the watch ended.
    async fn next(&mut self) -> Verdict<Change> {
        let patience = Duration::from_secs(10);
        match tokio::time::timeout(patience, self.0.next()).await {
            Ok(Some(change)) => Ok(in_order(change?)),
            Ok(None) => Err(Stop("the watch ended by itself".to_owned())),
            Err(_) => Err(Stop(format!("no change came within {patience:?}"))),
        }
    }

    /// What was there when the watch began: everything before `Synced`.
    async fn snapshot(&mut self) -> Verdict<Vec<Service>> {
        let mut present = Vec::new();
        loop {
            match self.next().await? {
                Change::Present(_) if present.len() == MOST_ITEMS => {
                    let text = format!("more than {MOST_ITEMS} services came before Synced");
                    return Err(Stop(text));
                }
                Change::Present(service) => present.push(service),
                Change::Synced => return Ok(present),
                other => {
                    let text = format!("{other:?} came before what was there had been told");
                    return Err(Stop(text));
                }
            }
        }
    }
}

fn node(id: &str) -> Node {
    Node {
        id: id.to_owned(),
        address: "127.0.0.1:4040".to_owned(),
        port: 0,
        metadata: [("server".to_owned(), "grpc".to_owned())].into(),
    }
}

fn node_ids(service: &Service) -> Vec<String> {
    service.nodes.iter().map(|node| node.id.clone()).collect()
}

/// The order of nodes is nobody's promise.
fn sorted(mut service: Service) -> Service {
    service.nodes.sort_by(|a, b| a.id.cmp(&b.id));
    service
}

fn in_order(change: Change) -> Change {
    match change {
        Change::Present(service) => Change::Present(sorted(service)),
        Change::Created(service) => Change::Created(sorted(service)),
        Change::Updated(service) => Change::Updated(sorted(service)),
        Change::Deleted(service) => Change::Deleted(sorted(service)),
        other => other,
    }
}
