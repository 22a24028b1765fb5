//! Services through what is live, and how long each of their nodes was to be kept.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use micro_plugin_api::{
    BoxFuture, BoxStream, Call, Registry, RegistryHandle, Result,
    registry::{Change, Filter, Node, Service},
};

use crate::{live::Live, moving::Resume, slot::Slot};

/// How long a node is kept whose time to live only the server knows that it was registered through:
/// as long as the nodes of the framework, which are renewed well before.
const UNKNOWN: Duration = Duration::from_secs(90);

/// The registry that is live.
pub(crate) struct SwappableRegistry {
    pub(crate) slot: Arc<Slot<RegistryHandle>>,
    pub(crate) leases: Arc<Leases>,
}

impl Registry for SwappableRegistry {
    async fn register(&self, call: &Call, service: &Service, ttl: Option<Duration>) -> Result<()> {
        let _pass = self.slot.gate.write(call).await?;
        let live = self.slot.live()?;
        live.handle.register(call, service, ttl).await?;
        self.leases.register(service, ttl);
        Ok(())
    }

    async fn deregister(&self, call: &Call, service: &Service) -> Result<()> {
        let _pass = self.slot.gate.write(call).await?;
        let live = self.slot.live()?;
        live.handle.deregister(call, service).await?;
        self.leases.deregister(service);
        Ok(())
    }

    async fn list(&self, call: &Call, filter: &Filter) -> Result<Vec<Service>> {
        let _pass = self.slot.gate.read(call).await?;
        self.slot.live()?.handle.list(call, filter).await
    }

    async fn watch(&self, call: &Call, filter: &Filter) -> Result<BoxStream<Result<Change>>> {
        let _pass = self.slot.gate.write(call).await?;
        let live = self.slot.live()?;
        let source = live.handle.watch(call, filter).await?;
        let resume = Watch {
            filter: filter.clone(),
            known: BTreeMap::new(),
            snapshot: None,
        };
        Ok(self.slot.moving(live, source, resume))
    }

    async fn health(&self, call: &Call) -> Result<()> {
        let _pass = self.slot.gate.read(call).await?;
        self.slot.live()?.handle.health(call).await
    }
}

/// Until when the nodes are kept that were registered through this server: a registry does not tell.
#[derive(Default)]
pub(crate) struct Leases(Mutex<HashMap<ServiceId, HashMap<String, Option<Instant>>>>);

/// Domain, name and version.
type ServiceId = (String, String, String);

fn id(service: &Service) -> ServiceId {
    let Service {
        domain,
        name,
        version,
        ..
    } = service;
    (domain.clone(), name.clone(), version.clone())
}

impl Leases {
    fn register(&self, service: &Service, ttl: Option<Duration>) {
        let until = ttl.map(|ttl| Instant::now() + ttl);
        let mut leases = self.lock();
        let nodes = leases.entry(id(service)).or_default();
        // Those that expired, of which nobody tells.
        nodes.retain(|_, until| until.is_none_or(|until| until > Instant::now()));
        nodes.extend(service.nodes.iter().map(|node| (node.id.clone(), until)));
    }

    fn deregister(&self, service: &Service) {
        let mut leases = self.lock();
        let id = id(service);
        let Some(nodes) = leases.get_mut(&id) else {
            return;
        };
        for node in &service.nodes {
            nodes.remove(&node.id);
        }
        if nodes.is_empty() {
            leases.remove(&id);
        }
    }

    /// Registers in `registry` what `services` says, each node for as long as it was to be kept.
    ///
    /// # Errors
    /// The first that cannot be registered.
    pub(crate) async fn replay(
        &self,
        services: Vec<Service>,
        registry: &RegistryHandle,
    ) -> Result<()> {
        for service in services {
            // Nodes of one service may have been registered for different times.
            for (node, ttl) in self.nodes(&service) {
                let one = Service {
                    nodes: vec![node],
                    ..service.clone()
                };
                registry.register(&super::resuming(), &one, ttl).await?;
            }
        }
        Ok(())
    }

    fn nodes(&self, service: &Service) -> Vec<(Node, Option<Duration>)> {
        let leases = self.lock();
        let known = leases.get(&id(service));
        let nodes = service.nodes.iter().map(|node| {
            let until = known.and_then(|nodes| nodes.get(&node.id));
            let ttl = match until {
                Some(None) => None,
                // One that expires right now expires there.
                Some(Some(until)) => Some(
                    until
                        .saturating_duration_since(Instant::now())
                        .max(Duration::from_millis(1)),
                ),
                None => Some(UNKNOWN),
            };
            (node.clone(), ttl)
        });
        nodes.collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ServiceId, HashMap<String, Option<Instant>>>> {
        // Nothing that is done under the lock can panic half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A watch. It knows what its reader was told, and tells the difference to what another registry
/// begins with.
struct Watch {
    filter: Filter,
    known: BTreeMap<ServiceId, Service>,
    /// What the registry that it moved to has told so far, until that is synced.
    snapshot: Option<BTreeMap<ServiceId, Service>>,
}

impl Watch {
    fn difference(&mut self, now: BTreeMap<ServiceId, Service>, ready: &mut VecDeque<Change>) {
        for (id, service) in &now {
            match self.known.get(id) {
                None => ready.push_back(Change::Created(service.clone())),
                Some(known) if !same(known, service) => {
                    ready.push_back(Change::Updated(service.clone()));
                }
                Some(_) => {}
            }
        }
        for (id, service) in &self.known {
            if !now.contains_key(id) {
                ready.push_back(Change::Deleted(service.clone()));
            }
        }
        self.known = now;
    }
}

/// Whether two records say the same: the order of nodes says nothing.
fn same(one: &Service, other: &Service) -> bool {
    let sorted = |service: &Service| {
        let mut service = service.clone();
        service.nodes.sort_by(|one, other| one.id.cmp(&other.id));
        service
    };
    sorted(one) == sorted(other)
}

impl Resume<RegistryHandle> for Watch {
    type Item = Change;
    const COLLECTS: bool = false;

    fn open(
        &self,
        live: &Live<RegistryHandle>,
    ) -> BoxFuture<'static, Result<BoxStream<Result<Change>>>> {
        let (handle, filter) = (live.handle.clone(), self.filter.clone());
        Box::pin(async move { handle.watch(&super::resuming(), &filter).await })
    }

    fn pass(&mut self, change: Change, ready: &mut VecDeque<Change>) {
        if let Some(snapshot) = &mut self.snapshot {
            match change {
                Change::Present(service) | Change::Created(service) | Change::Updated(service) => {
                    snapshot.insert(id(&service), service);
                }
                Change::Deleted(service) => {
                    snapshot.remove(&id(&service));
                }
                Change::Synced => {
                    if let Some(snapshot) = self.snapshot.take() {
                        self.difference(snapshot, ready);
                    }
                }
                _ => {}
            }
            return;
        }
        match &change {
            Change::Present(service) | Change::Created(service) | Change::Updated(service) => {
                self.known.insert(id(service), service.clone());
            }
            Change::Deleted(service) => {
                self.known.remove(&id(service));
            }
            _ => {}
        }
        ready.push_back(change);
    }

    fn moved(&mut self, _: &Arc<Live<RegistryHandle>>, _same: bool) {
        self.snapshot = Some(BTreeMap::new());
    }
}
