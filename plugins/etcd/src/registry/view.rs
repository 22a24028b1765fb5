//! What is registered, as one who reads etcd's keys and changes knows it.

use std::collections::{BTreeMap, BTreeSet};

use etcd_client::{Event, EventType, KeyValue};
use micro_plugin_api::registry::{Change, Filter, Service};

use super::{
    Keys, ServiceKey,
    node::{Moment, Registered},
};

/// Services with their nodes, and which node expires when.
pub(super) struct View {
    filter: Filter,
    services: BTreeMap<ServiceKey, Entry>,
    expiries: BTreeSet<(Moment, ServiceKey, String)>,
}

#[derive(Default)]
struct Entry {
    /// By id, each with the revision that wrote it.
    nodes: BTreeMap<String, (i64, Registered)>,
    /// What was told of it last.
    told: Option<Service>,
}

impl View {
    /// What these keys hold of what `filter` means. Nothing of it is a change.
    pub(super) fn new(keys: &Keys, stored: &[KeyValue], filter: &Filter) -> Self {
        let mut view = Self {
            filter: filter.clone(),
            services: BTreeMap::new(),
            expiries: BTreeSet::new(),
        };
        let now = Moment::now();
        for stored in stored {
            if let Some((key, id)) = view.read(keys, stored)
                && let Some(registered) = decode(stored)
                && registered.until_micros.is_none_or(|until| until > now)
            {
                view.put(key, id, stored.mod_revision(), registered);
            }
        }
        for (key, entry) in &mut view.services {
            entry.told = entry.service(key);
        }
        view
    }

    /// The services, in order.
    pub(super) fn services(&self) -> Vec<Service> {
        let entries = self.services.values();
        entries.filter_map(|entry| entry.told.clone()).collect()
    }

    /// When the next node expires.
    pub(super) fn next_expiry(&self) -> Option<Moment> {
        self.expiries.first().map(|(at, _, _)| *at)
    }

    /// Removes every node whose time has come, each as a change of its own.
    pub(super) fn expire(&mut self) -> Vec<Change> {
        let now = Moment::now();
        let mut changes = Vec::new();
        while let Some((at, _, _)) = self.expiries.first()
            && *at <= now
            && let Some((_, key, id)) = self.expiries.pop_first()
        {
            self.remove(&key, &id);
            changes.extend(self.tell(&key));
        }
        changes
    }

    /// What events of etcd mean: those of one revision are one change of each service.
    pub(super) fn apply(&mut self, keys: &Keys, events: &[Event]) -> Vec<Change> {
        let mut changes = Vec::new();
        let revision = |event: &Event| event.kv().map(KeyValue::mod_revision);
        for together in events.chunk_by(|one, other| revision(one) == revision(other)) {
            let mut touched = Vec::new();
            for event in together {
                let Some(stored) = event.kv() else {
                    continue;
                };
                let Some((key, id)) = self.read(keys, stored) else {
                    continue;
                };
                self.remove(&key, &id);
                if event.event_type() == EventType::Put
                    && let Some(registered) = decode(stored)
                {
                    self.put(key.clone(), id, stored.mod_revision(), registered);
                }
                if !touched.contains(&key) {
                    touched.push(key);
                }
            }
            for key in touched {
                changes.extend(self.tell(&key));
            }
        }
        changes
    }

    /// What has changed from `former` to this view.
    pub(super) fn changes_since(&self, former: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        for (key, entry) in &former.services {
            if !self.services.contains_key(key) {
                changes.extend(entry.told.clone().map(Change::Deleted));
            }
        }
        for (key, entry) in &self.services {
            let former = former
                .services
                .get(key)
                .and_then(|former| former.told.as_ref());
            match (former, &entry.told) {
                (None, Some(now)) => changes.push(Change::Created(now.clone())),
                (Some(former), Some(now)) if former != now => {
                    changes.push(Change::Updated(now.clone()));
                }
                _ => {}
            }
        }
        changes
    }

    /// The service and the id of a key, if the filter means it.
    fn read(&self, keys: &Keys, stored: &KeyValue) -> Option<(ServiceKey, String)> {
        let read = keys.read(stored.key());
        read.filter(|(key, _)| key.is_of(&self.filter))
    }

    fn put(&mut self, key: ServiceKey, id: String, revision: i64, registered: Registered) {
        if let Some(until) = registered.until_micros {
            self.expiries.insert((until, key.clone(), id.clone()));
        }
        let entry = self.services.entry(key).or_default();
        entry.nodes.insert(id, (revision, registered));
    }

    fn remove(&mut self, key: &ServiceKey, id: &str) {
        let Some(entry) = self.services.get_mut(key) else {
            return;
        };
        if let Some((_, registered)) = entry.nodes.remove(id)
            && let Some(until) = registered.until_micros
        {
            self.expiries.remove(&(until, key.clone(), id.to_owned()));
        }
    }

    /// What is to be told of a service, if it is not what was told last.
    fn tell(&mut self, key: &ServiceKey) -> Option<Change> {
        let entry = self.services.get_mut(key)?;
        let Some(now) = entry.service(key) else {
            let entry = self.services.remove(key)?;
            return entry.told.map(Change::Deleted);
        };
        match entry.told.replace(now.clone()) {
            None => Some(Change::Created(now)),
            Some(former) if former != now => Some(Change::Updated(now)),
            Some(_) => None,
        }
    }
}

impl Entry {
    /// The service, with what the last to register said of it; `None` without a node.
    fn service(&self, key: &ServiceKey) -> Option<Service> {
        let last = self.nodes.values().max_by_key(|(revision, _)| *revision)?;
        let nodes = self.nodes.values();
        Some(Service {
            domain: key.domain.clone(),
            name: key.name.clone(),
            version: key.version.clone(),
            metadata: last.1.metadata.clone(),
            endpoints: last.1.endpoints.clone(),
            nodes: nodes
                .map(|(_, registered)| registered.node.clone())
                .collect(),
        })
    }
}

fn decode(stored: &KeyValue) -> Option<Registered> {
    let registered = Registered::decode(stored.value());
    if registered.is_none() {
        let key = String::from_utf8_lossy(stored.key());
        tracing::warn!("etcd's key {key:?} holds no node of a service; it is passed over");
    }
    registered
}
