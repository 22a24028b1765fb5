//! What the registry is told of the core services.

use std::collections::BTreeMap;

use micro_access::namespace;
use micro_plugin_api::registry::{Endpoint, Service, Value};
use micro_proto::registry as proto;

use crate::CoreServices;

impl CoreServices {
    /// A record of each service that others may find, in order of their names: name, domain and
    /// endpoints. Version and node are for the server to add. `Debug` is served by every service
    /// and advertised by none, as in the reference.
    pub fn records(&self) -> Vec<Service> {
        let mut records: Vec<_> = self
            .registered()
            .map(|service| Service {
                domain: namespace::DEFAULT.to_owned(),
                name: service.name.to_owned(),
                metadata: BTreeMap::from([("domain".to_owned(), namespace::DEFAULT.to_owned())]),
                endpoints: service
                    .handlers
                    .endpoints()
                    .into_iter()
                    .filter(|endpoint| !endpoint.name.starts_with("Debug."))
                    .map(endpoint)
                    .collect(),
                ..Service::default()
            })
            .collect();
        records.sort_by(|a, b| a.name.cmp(&b.name));
        records
    }
}

fn endpoint(endpoint: proto::Endpoint) -> Endpoint {
    Endpoint {
        name: endpoint.name,
        request: endpoint.request.map(value),
        response: endpoint.response.map(value),
        metadata: endpoint.metadata.into_iter().collect(),
    }
}

fn value(value: proto::Value) -> Value {
    Value {
        name: value.name,
        kind: value.r#type,
        values: value.values.into_iter().map(self::value).collect(),
    }
}
