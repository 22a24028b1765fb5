//! Services of the wire and services of the module.

use std::collections::BTreeMap;

use micro_plugin_api::registry::{Endpoint, Node, Service, Value};
use micro_proto::registry as proto;
use micro_wire::shown;

/// The version of those who name none.
const DEFAULT_VERSION: &str = "latest";

/// The metadata in which a record says where it belongs.
const DOMAIN: &str = "domain";

/// A service that somebody registers, as one of `domain`.
pub(super) fn to_module(service: proto::Service, domain: String) -> Service {
    let with_domain = |metadata: std::collections::HashMap<String, String>| {
        let mut metadata: BTreeMap<_, _> = metadata.into_iter().collect();
        metadata.insert(DOMAIN.to_owned(), domain.clone());
        metadata
    };
    Service {
        name: service.name,
        version: match service.version {
            version if version.is_empty() => DEFAULT_VERSION.to_owned(),
            version => version,
        },
        metadata: with_domain(service.metadata),
        endpoints: service
            .endpoints
            .into_iter()
            .map(endpoint_to_module)
            .collect(),
        nodes: service
            .nodes
            .into_iter()
            .map(|node| Node {
                id: node.id,
                address: node.address,
                port: node.port,
                metadata: with_domain(node.metadata),
            })
            .collect(),
        domain,
    }
}

/// Whether the nodes of a service can be found again and called.
///
/// # Errors
/// What is missing, for the one who registers it.
pub(super) fn check_nodes(service: &Service) -> Result<(), String> {
    let name = &service.name;
    if service.nodes.is_empty() {
        return Err(format!(
            "service `{name}` has no node; register it with the address that it serves at"
        ));
    }
    for node in &service.nodes {
        if node.id.is_empty() {
            return Err(format!("a node of service `{name}` has no id"));
        }
        if node.address.is_empty() {
            return Err(format!(
                "node `{}` of service `{name}` has no address",
                node.id
            ));
        }
        if !micro_route::is_address(&node.address, node.port)
            && (0..=i64::from(u16::MAX)).contains(&node.port)
        {
            return Err(format!(
                "node `{}` of service `{name}` has the address {}, which is not HOST:PORT",
                node.id,
                shown(&node.address)
            ));
        }
        if !(0..=i64::from(u16::MAX)).contains(&node.port) {
            return Err(format!(
                "node `{}` of service `{name}` has port {}, which is none",
                node.id, node.port
            ));
        }
    }
    Ok(())
}

/// A service as its readers see it.
pub(super) fn to_proto(service: Service) -> proto::Service {
    proto::Service {
        name: service.name,
        version: service.version,
        metadata: service.metadata.into_iter().collect(),
        endpoints: service
            .endpoints
            .into_iter()
            .map(endpoint_to_proto)
            .collect(),
        nodes: service
            .nodes
            .into_iter()
            .map(|node| proto::Node {
                id: node.id,
                address: node.address,
                port: node.port,
                metadata: node.metadata.into_iter().collect(),
            })
            .collect(),
        // Readers are used to find them, and empty.
        options: Some(proto::Options::default()),
    }
}

fn endpoint_to_module(endpoint: proto::Endpoint) -> Endpoint {
    Endpoint {
        name: endpoint.name,
        request: endpoint.request.map(value_to_module),
        response: endpoint.response.map(value_to_module),
        metadata: endpoint.metadata.into_iter().collect(),
    }
}

fn endpoint_to_proto(endpoint: Endpoint) -> proto::Endpoint {
    proto::Endpoint {
        name: endpoint.name,
        request: endpoint.request.map(value_to_proto),
        response: endpoint.response.map(value_to_proto),
        metadata: endpoint.metadata.into_iter().collect(),
    }
}

fn value_to_module(value: proto::Value) -> Value {
    Value {
        name: value.name,
        kind: value.r#type,
        values: value.values.into_iter().map(value_to_module).collect(),
    }
}

fn value_to_proto(value: Value) -> proto::Value {
    proto::Value {
        name: value.name,
        r#type: value.kind,
        values: value.values.into_iter().map(value_to_proto).collect(),
    }
}
