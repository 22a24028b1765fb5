//! Where nodes are among etcd's keys: `PREFIX/registry/DOMAIN/NAME/VERSION/` and the node's id as it
//! is.

use micro_plugin_api::registry::{Filter, Service};

use crate::{client::Etcd, names};

/// What a service is known by, and the order of lists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ServiceKey {
    pub(super) domain: String,
    pub(super) name: String,
    pub(super) version: String,
}

impl ServiceKey {
    pub(super) fn of(service: &Service) -> Self {
        Self {
            domain: service.domain.clone(),
            name: service.name.clone(),
            version: service.version.clone(),
        }
    }

    /// Whether a filter means it.
    pub(super) fn is_of(&self, filter: &Filter) -> bool {
        filter
            .domain
            .as_ref()
            .is_none_or(|domain| *domain == self.domain)
            && filter.name.as_ref().is_none_or(|name| *name == self.name)
    }
}

/// The keys of one registry.
pub(super) struct Keys {
    folder: String,
}

impl Keys {
    pub(super) fn new(etcd: &Etcd) -> Self {
        Self {
            folder: etcd.folder("registry"),
        }
    }

    /// The key of a node.
    pub(super) fn of_node(&self, service: &ServiceKey, id: &str) -> Vec<u8> {
        let names = [&service.domain, &service.name, &service.version];
        let folder = names::folder(names.map(String::as_str));
        [&self.folder, &folder, id].concat().into_bytes()
    }

    /// The service and the id of a node's key; `None` for a key that is none.
    pub(super) fn read(&self, key: &[u8]) -> Option<(ServiceKey, String)> {
        let rest = key.strip_prefix(self.folder.as_bytes())?;
        let (domain, rest) = names::split(rest)?;
        let (name, rest) = names::split(rest)?;
        let (version, id) = names::split(rest)?;
        let service = ServiceKey {
            domain,
            name,
            version,
        };
        Some((service, String::from_utf8(id.to_vec()).ok()?))
    }

    /// The first key of what a filter may mean, and the first behind it.
    pub(super) fn of_filter(&self, filter: &Filter) -> (Vec<u8>, Vec<u8>) {
        let mut from = self.folder.clone();
        if let Some(domain) = &filter.domain {
            from.push_str(&names::folder([domain.as_str()]));
            if let Some(name) = &filter.name {
                from.push_str(&names::folder([name.as_str()]));
            }
        }
        let from = from.into_bytes();
        let to = names::beyond(&from);
        (from, to)
    }
}
