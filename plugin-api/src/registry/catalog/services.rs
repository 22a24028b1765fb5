//! What is registered: services, their nodes, and which node expires when.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
    time::Instant,
};

use crate::registry::{Change, Endpoint, Filter, Node, Service};

/// Domain, name and version: what a service is known by, and the order of lists.
type Key = Arc<(String, String, String)>;

/// Every service with a node, and a table of expiries beside it.
#[derive(Debug, Default)]
pub(super) struct Services {
    services: BTreeMap<Key, Entry>,
    expiries: BTreeSet<(Instant, Key, Arc<str>)>,
}

#[derive(Debug, Default)]
struct Entry {
    metadata: BTreeMap<String, String>,
    endpoints: Vec<Endpoint>,
    nodes: BTreeMap<Arc<str>, Registered>,
}

#[derive(Debug)]
struct Registered {
    node: Node,
    until: Option<Instant>,
}

impl Entry {
    fn to_service(&self, key: &Key) -> Service {
        let (domain, name, version) = &**key;
        Service {
            domain: domain.clone(),
            name: name.clone(),
            version: version.clone(),
            metadata: self.metadata.clone(),
            endpoints: self.endpoints.clone(),
            nodes: self
                .nodes
                .values()
                .map(|registered| registered.node.clone())
                .collect(),
        }
    }
}

impl Services {
    /// When the next node expires.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.expiries.first().map(|(at, _, _)| *at)
    }

    /// Removes every node whose time has come by `now`, each as a change of its own.
    pub(super) fn expire(&mut self, now: Instant, changes: &mut Vec<Change>) {
        while let Some((at, _, _)) = self.expiries.first()
            && *at <= now
            && let Some((_, key, id)) = self.expiries.pop_first()
        {
            self.remove_nodes(&key, [&*id], changes);
        }
    }

    /// Adds or replaces the nodes of `service` until then, and replaces what is known of it.
    pub(super) fn register(
        &mut self,
        service: &Service,
        until: Option<Instant>,
        changes: &mut Vec<Change>,
    ) {
        let key = key_of(service);
        let is_new = !self.services.contains_key(&key);
        let entry = self.services.entry(key.clone()).or_default();
        let mut has_changed = is_new;
        if entry.metadata != service.metadata {
            entry.metadata.clone_from(&service.metadata);
            has_changed = true;
        }
        if entry.endpoints != service.endpoints {
            entry.endpoints.clone_from(&service.endpoints);
            has_changed = true;
        }
        for node in &service.nodes {
            let id: Arc<str> = Arc::from(node.id.as_str());
            let node = node.clone();
            let registered = Registered { node, until };
            match entry.nodes.insert(id.clone(), registered) {
                Some(former) => {
                    has_changed |= entry
                        .nodes
                        .get(&id)
                        .is_none_or(|now| now.node != former.node);
                    if let Some(at) = former.until {
                        self.expiries.remove(&(at, key.clone(), id.clone()));
                    }
                }
                None => has_changed = true,
            }
            if let Some(at) = until {
                self.expiries.insert((at, key.clone(), id));
            }
        }
        if is_new {
            changes.push(Change::Created(entry.to_service(&key)));
        } else if has_changed {
            changes.push(Change::Updated(entry.to_service(&key)));
        }
    }

    /// Removes the nodes that `service` names.
    pub(super) fn deregister(&mut self, service: &Service, changes: &mut Vec<Change>) {
        let ids = service.nodes.iter().map(|node| node.id.as_str());
        self.remove_nodes(&key_of(service), ids, changes);
    }

    fn remove_nodes<'a>(
        &mut self,
        key: &Key,
        ids: impl IntoIterator<Item = &'a str>,
        changes: &mut Vec<Change>,
    ) {
        let Some(entry) = self.services.get_mut(key) else {
            return;
        };
        let mut removed = Vec::new();
        for id in ids {
            if let Some((id, registered)) = entry.nodes.remove_entry(id) {
                if let Some(at) = registered.until {
                    self.expiries.remove(&(at, key.clone(), id));
                }
                removed.push(registered.node);
            }
        }
        if removed.is_empty() {
            return;
        }
        if !entry.nodes.is_empty() {
            changes.push(Change::Updated(entry.to_service(key)));
            return;
        }
        let mut last = entry.to_service(key);
        last.nodes = removed;
        self.services.remove(key);
        changes.push(Change::Deleted(last));
    }

    /// The services that match, in order.
    pub(super) fn list(&self, filter: &Filter) -> Vec<Service> {
        let from = match (&filter.domain, &filter.name) {
            (Some(domain), Some(name)) => (domain.clone(), name.clone(), String::new()),
            (Some(domain), None) => (domain.clone(), String::new(), String::new()),
            (None, _) => Default::default(),
        };
        let services = self
            .services
            .range::<Key, _>((Bound::Included(Arc::new(from)), Bound::Unbounded));
        let within = services.take_while(|(key, _)| {
            let (domain, name, _) = &***key;
            match (&filter.domain, &filter.name) {
                (Some(wanted), Some(named)) => wanted == domain && named == name,
                (Some(wanted), None) => wanted == domain,
                (None, _) => true,
            }
        });
        within
            .filter(|(key, _)| filter.name.as_ref().is_none_or(|name| *name == key.1))
            .map(|(key, entry)| entry.to_service(key))
            .collect()
    }
}

fn key_of(service: &Service) -> Key {
    Arc::new((
        service.domain.clone(),
        service.name.clone(),
        service.version.clone(),
    ))
}
