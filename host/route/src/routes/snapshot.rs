//! The registry at one moment, laid out for looking up: domain, then service, then its route.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use micro_plugin_api::registry::{Endpoint, Service};

use super::Node;

/// Everything that is known of one service in one domain: all its versions and nodes.
#[derive(Debug)]
pub struct Route {
    versions: Vec<Arc<Service>>,
    nodes: Vec<Arc<Node>>,
    /// The endpoints that stream, of any version.
    streams: Vec<Box<str>>,
    /// Whether its nodes say what Micro's say of themselves.
    micro: bool,
}

impl Route {
    /// The name of the service.
    pub fn name(&self) -> &str {
        self.versions.first().map_or("", |version| &version.name)
    }

    /// The records of the service, one a version.
    pub fn versions(&self) -> &[Arc<Service>] {
        &self.versions
    }

    /// The nodes of every version.
    pub fn nodes(&self) -> &[Arc<Node>] {
        &self.nodes
    }

    /// The endpoints of every version; one that several versions have comes several times.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.versions.iter().flat_map(|version| &version.endpoints)
    }

    /// Whether the endpoint (`Foo.Bar`) is registered as one that streams.
    pub fn streams(&self, endpoint: &str) -> bool {
        self.streams.iter().any(|stream| **stream == *endpoint)
    }

    /// Whether its nodes speak JSON beside protobuf, as those of Micro do. A plain gRPC server,
    /// which does not, was registered without the metadata by which Micro's nodes are known.
    pub fn speaks_json(&self) -> bool {
        self.micro
    }

    /// A healthy node that is not among `tried`: of two taken at random the one with fewer calls
    /// in flight. `random` is any number.
    pub(crate) fn pick(&self, tried: &[Arc<Node>], random: u64) -> Option<Arc<Node>> {
        let usable = |node: &&Arc<Node>| {
            node.is_available() && !tried.iter().any(|other| Arc::ptr_eq(other, node))
        };
        if let [only] = self.nodes.as_slice() {
            return Some(only).filter(usable).cloned();
        }
        let count = self.nodes.iter().filter(usable).count();
        if count == 0 {
            return None;
        }
        let (high, low) = ((random >> 32) as usize, (random & 0xffff_ffff) as usize);
        let first = self.nodes.iter().filter(usable).nth(high % count)?;
        // Another thread may have sent a node to rest in between, hence no index arithmetic.
        match self.nodes.iter().filter(usable).nth(low % count) {
            Some(second) if second.in_flight() < first.in_flight() => Some(second.clone()),
            _ => Some(first.clone()),
        }
    }

    fn new(versions: Vec<Arc<Service>>, before: Option<&Self>) -> Self {
        let mut nodes: Vec<Arc<Node>> = Vec::new();
        for record in versions.iter().flat_map(|version| &version.nodes) {
            if nodes.iter().any(|node| node.is(record)) {
                continue;
            }
            let known = before.and_then(|route| route.nodes.iter().find(|node| node.is(record)));
            match known.cloned().or_else(|| Node::new(record).map(Arc::new)) {
                Some(node) => nodes.push(node),
                None => tracing::debug!(
                    node = record.id,
                    address = record.address,
                    "ignoring a node whose address is not HOST:PORT"
                ),
            }
        }
        let streams = versions
            .iter()
            .flat_map(|version| &version.endpoints)
            .filter(|endpoint| {
                endpoint
                    .metadata
                    .get("stream")
                    .is_some_and(|value| value == "true")
            })
            .map(|endpoint| endpoint.name.as_str().into())
            .collect();
        let micro = versions
            .iter()
            .flat_map(|version| &version.nodes)
            .any(|node| node.metadata.contains_key("protocol"));
        Self {
            versions,
            nodes,
            streams,
            micro,
        }
    }
}

type Names = HashMap<Box<str>, Arc<Route>>;

/// An immutable picture of the registry. A change makes another one, which shares what did not
/// change with this.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    domains: HashMap<Box<str>, Arc<Names>>,
}

impl Snapshot {
    pub(crate) fn get(&self, domain: &str, service: &str) -> Option<&Arc<Route>> {
        self.domains.get(domain)?.get(service)
    }

    pub(crate) fn domain(&self, domain: &str) -> Vec<(Box<str>, Arc<Route>)> {
        let names = self.domains.get(domain).map(AsRef::as_ref);
        let mut all: Vec<_> = names
            .into_iter()
            .flatten()
            .map(|(name, route)| (name.clone(), route.clone()))
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    /// The same, with this service as `versions` say; without it if there are none.
    fn set(&mut self, domain: &str, name: &str, versions: Vec<Arc<Service>>) {
        let names = Arc::make_mut(self.domains.entry(domain.into()).or_default());
        if versions.is_empty() {
            names.remove(name);
            if names.is_empty() {
                self.domains.remove(domain);
            }
        } else {
            let route = Route::new(versions, names.get(name).map(AsRef::as_ref));
            names.insert(name.into(), Arc::new(route));
        }
    }
}

/// What the registry has told so far, from which snapshots are made: its records by domain, name
/// and version.
#[derive(Debug, Default)]
pub(crate) struct Table {
    records: BTreeMap<(String, String), BTreeMap<String, Arc<Service>>>,
}

impl Table {
    pub(crate) fn of(services: Vec<Service>) -> Self {
        let mut table = Self::default();
        for service in services {
            table.put(service);
        }
        table
    }

    /// Takes in what one version of a service now is; answers whether that is news.
    pub(crate) fn put(&mut self, service: Service) -> bool {
        if service.nodes.is_empty() {
            return self.remove(&service);
        }
        let key = (service.domain.clone(), service.name.clone());
        let versions = self.records.entry(key).or_default();
        if versions
            .get(&service.version)
            .is_some_and(|old| **old == service)
        {
            return false;
        }
        versions.insert(service.version.clone(), Arc::new(service));
        true
    }

    /// Forgets a version of a service; answers whether it was known.
    pub(crate) fn remove(&mut self, service: &Service) -> bool {
        let key = (service.domain.clone(), service.name.clone());
        let Some(versions) = self.records.get_mut(&key) else {
            return false;
        };
        let known = versions.remove(&service.version).is_some();
        if versions.is_empty() {
            self.records.remove(&key);
        }
        known
    }

    /// `before`, with the services named brought up to date.
    pub(crate) fn update(&self, before: &Snapshot, changed: &[(String, String)]) -> Snapshot {
        let mut snapshot = before.clone();
        for key in changed {
            let versions = self.records.get(key);
            let versions = versions
                .into_iter()
                .flat_map(BTreeMap::values)
                .cloned()
                .collect();
            snapshot.set(&key.0, &key.1, versions);
        }
        snapshot
    }

    /// A snapshot of exactly this; routes that are as they were in `before` are shared with it.
    pub(crate) fn snapshot(&self, before: &Snapshot) -> Snapshot {
        let mut domains: HashMap<Box<str>, Names> = HashMap::new();
        for ((domain, name), versions) in &self.records {
            let versions: Vec<_> = versions.values().cloned().collect();
            let old = before.get(domain, name);
            let route = match old {
                Some(old) if old.versions == versions => old.clone(),
                old => Arc::new(Route::new(versions, old.map(AsRef::as_ref))),
            };
            let names = domains.entry(domain.as_str().into()).or_default();
            names.insert(name.as_str().into(), route);
        }
        Snapshot {
            domains: domains
                .into_iter()
                .map(|(name, names)| (name, Arc::new(names)))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use micro_plugin_api::registry;

    fn service(version: &str, nodes: &[(&str, &str)]) -> Service {
        Service {
            domain: "micro".into(),
            name: "a".into(),
            version: version.into(),
            nodes: nodes
                .iter()
                .map(|(id, address)| registry::Node {
                    id: (*id).into(),
                    address: (*address).into(),
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        }
    }

    fn key() -> Vec<(String, String)> {
        vec![("micro".into(), "a".into())]
    }

    #[test]
    fn versions_join_and_leave() {
        let mut table = Table::of(vec![service("1", &[("x", "h:1")])]);
        let first = table.snapshot(&Snapshot::default());
        assert!(table.put(service("2", &[("y", "h:2")])));
        assert!(!table.put(service("2", &[("y", "h:2")])), "nothing new");
        let both = table.update(&first, &key());
        assert_eq!(both.get("micro", "a").unwrap().nodes().len(), 2);
        assert_eq!(
            first.get("micro", "a").unwrap().nodes().len(),
            1,
            "a snapshot stays"
        );
        assert!(both.get("other", "a").is_none());
        assert!(table.remove(&service("1", &[])));
        assert!(
            table.put(service("2", &[])),
            "a version without nodes is gone"
        );
        assert!(table.update(&both, &key()).get("micro", "a").is_none());
    }

    #[test]
    fn nodes_keep_their_state_over_changes() {
        let mut table = Table::of(vec![service("1", &[("x", "h:1")])]);
        let first = table.snapshot(&Snapshot::default());
        first.get("micro", "a").unwrap().nodes()[0].failed();
        table.put(service("1", &[("x", "h:1"), ("y", "h:2")]));
        for next in [table.update(&first, &key()), table.snapshot(&first)] {
            let route = next.get("micro", "a").unwrap();
            for random in 0..64 {
                let picked = route.pick(&[], random | random << 32).unwrap();
                assert_eq!(picked.id(), "y");
            }
            assert!(route.pick(&[route.nodes()[1].clone()], 0).is_none());
        }
        // Another process at the same address starts afresh.
        table.put(service("1", &[("z", "h:1")]));
        let next = table.update(&first, &key());
        assert!(next.get("micro", "a").unwrap().pick(&[], 0).is_some());
    }

    #[test]
    fn the_less_loaded_of_two_is_taken() {
        let table = Table::of(vec![service("1", &[("x", "h:1"), ("y", "h:2")])]);
        let snapshot = table.snapshot(&Snapshot::default());
        let route = snapshot.get("micro", "a").unwrap();
        let _busy = super::super::InFlight::new(route.nodes()[0].clone());
        assert_eq!(route.pick(&[], 1).unwrap().id(), "y");
        assert_eq!(route.pick(&[], 1 << 32).unwrap().id(), "y");
    }
}
