//! How large a record may be and how many there may be: what one service registers, everybody who
//! lists services has to read.

use std::collections::{BTreeMap, HashMap};

use micro_plugin_api::registry::Service;
use micro_proto::registry as proto;
use micro_wire::{frame::MAX_MESSAGE, shown};
use prost::Message as _;

/// The most bytes of a name, a version, an id or an address.
const MAX_TEXT: usize = 253;
/// The most endpoints of a service.
const MAX_ENDPOINTS: usize = 1000;
/// How deep the messages of an endpoint may nest.
const MAX_DEPTH: usize = 32;
/// The most nodes that are registered at once.
const MAX_NODES_AT_ONCE: usize = 100;
/// The most bytes of metadata of a service, a node or an endpoint, keys and values.
const MAX_METADATA: usize = 16 << 10;
/// The most bytes of a record.
const MAX_RECORD: usize = 256 << 10;
/// The most nodes of one version of a service.
pub(super) const MAX_NODES: usize = 1000;
/// The most records of a domain: a service has one for each version.
pub(super) const MAX_RECORDS: usize = 4096;
/// How much of an answer records may fill, in bytes: the largest message, less room for what
/// stands around them.
const MAX_ANSWER: usize = MAX_MESSAGE - (64 << 10);

/// Checks what somebody registers.
///
/// # Errors
/// What is too large, or cannot be.
pub(super) fn check(service: &proto::Service) -> Result<(), String> {
    name(&service.name)?;
    text("version", &service.version)?;
    metadata("service", &service.metadata)?;
    if service.endpoints.len() > MAX_ENDPOINTS {
        return Err(too_many(
            "endpoints",
            service.endpoints.len(),
            MAX_ENDPOINTS,
        ));
    }
    for endpoint in &service.endpoints {
        text("endpoint", &endpoint.name)?;
        metadata("endpoint", &endpoint.metadata)?;
        for message in [&endpoint.request, &endpoint.response]
            .into_iter()
            .flatten()
        {
            if depth_exceeds(message, MAX_DEPTH) {
                return Err(format!(
                    "the messages of endpoint {} nest deeper than {MAX_DEPTH} levels",
                    shown(&endpoint.name)
                ));
            }
        }
    }
    if service.nodes.len() > MAX_NODES_AT_ONCE {
        return Err(too_many("nodes", service.nodes.len(), MAX_NODES_AT_ONCE));
    }
    for node in &service.nodes {
        text("id of a node", &node.id)?;
        text("address of a node", &node.address)?;
        metadata("node", &node.metadata)?;
    }
    let bytes = service.encoded_len();
    if bytes > MAX_RECORD {
        return Err(format!(
            "the record of service {} has {bytes} bytes; the most are {MAX_RECORD}",
            shown(&service.name)
        ));
    }
    Ok(())
}

/// A service's name is part of paths and headers.
fn name(name: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let begins_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if name.len() > MAX_TEXT || !begins_well || !name.chars().all(allowed) {
        return Err(format!(
            "the name {} cannot be a service's: it begins with a letter or digit, goes on with those, `-`, `_` and `.`, and has at most {MAX_TEXT} characters",
            shown(name)
        ));
    }
    Ok(())
}

fn text(what: &str, text: &str) -> Result<(), String> {
    if text.len() > MAX_TEXT {
        return Err(format!(
            "the {what} {} is longer than {MAX_TEXT} bytes",
            shown(text)
        ));
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(format!(
            "the {what} {} holds white space or control characters",
            shown(text)
        ));
    }
    Ok(())
}

fn metadata(of: &str, metadata: &HashMap<String, String>) -> Result<(), String> {
    let bytes: usize = metadata.iter().map(|(k, v)| k.len() + v.len()).sum();
    if bytes > MAX_METADATA {
        return Err(format!(
            "the metadata of a {of} has {bytes} bytes; the most are {MAX_METADATA}"
        ));
    }
    Ok(())
}

fn too_many(what: &str, number: usize, most: usize) -> String {
    format!("the record has {number} {what}; the most are {most}")
}

fn depth_exceeds(value: &proto::Value, levels: usize) -> bool {
    let Some(left) = levels.checked_sub(1) else {
        return true;
    };
    value.values.iter().any(|inner| depth_exceeds(inner, left))
}

/// Whether there is room for `new`, given what is registered under its name; `None` when that
/// depends on how many records its domain has.
pub(super) fn room(known: &[Service], new: &Service) -> Option<Result<(), String>> {
    let same = known.iter().find(|own| own.version == new.version)?;
    let more = new
        .nodes
        .iter()
        .filter(|node| same.nodes.iter().all(|own| own.id != node.id))
        .count();
    if more > 0 && same.nodes.len() + more > MAX_NODES {
        return Some(Err(format!(
            "service {} has {} nodes; the most are {MAX_NODES}",
            shown(&new.name),
            same.nodes.len()
        )));
    }
    Some(Ok(()))
}

/// Makes a list fit into one message: where it would not, it leaves out the schemas of endpoints,
/// then the endpoints, which whoever wants them finds by the name of the service.
///
/// # Errors
/// It is too large even so.
pub(super) fn fit(services: &mut [proto::Service]) -> Result<(), String> {
    let fits = |services: &[proto::Service]| {
        // Beside each record stand its tag and its length.
        let bytes: usize = services.iter().map(|one| one.encoded_len() + 8).sum();
        bytes <= MAX_ANSWER
    };
    if fits(services) {
        return Ok(());
    }
    for endpoint in services.iter_mut().flat_map(|one| &mut one.endpoints) {
        (endpoint.request, endpoint.response) = (None, None);
    }
    if fits(services) {
        return Ok(());
    }
    for service in services.iter_mut() {
        service.endpoints.clear();
    }
    if fits(services) {
        return Ok(());
    }
    let mut count = BTreeMap::<&str, usize>::new();
    for service in services.iter() {
        *count.entry(&service.name).or_default() += 1;
    }
    Err(format!(
        "{} services are more than one message holds; ask for one by its name with GetService",
        count.len()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str) -> proto::Service {
        proto::Service {
            name: name.into(),
            ..proto::Service::default()
        }
    }

    #[test]
    fn names() {
        for good in ["helloworld", "go.micro.srv.foo", "Foo_1-2"] {
            assert_eq!(check(&service(good)), Ok(()), "{good}");
        }
        let long = "x".repeat(5000);
        for bad in ["a/b", "*", ".x", "a b", "ü", "a\n", long.as_str()] {
            let refused = check(&service(bad)).unwrap_err();
            assert!(refused.len() < 400, "{refused}");
        }
    }

    #[test]
    fn depth_and_sizes() {
        let mut value = proto::Value::default();
        for _ in 1..MAX_DEPTH {
            value = proto::Value {
                values: vec![value],
                ..proto::Value::default()
            };
        }
        let with = |request: proto::Value| {
            let mut service = service("s");
            service.endpoints = vec![proto::Endpoint {
                request: Some(request),
                ..proto::Endpoint::default()
            }];
            service
        };
        assert_eq!(check(&with(value.clone())), Ok(()));
        let deeper = proto::Value {
            values: vec![value],
            ..proto::Value::default()
        };
        assert!(check(&with(deeper)).is_err());
        let wide = proto::Value {
            name: "x".repeat(MAX_RECORD),
            ..proto::Value::default()
        };
        assert!(check(&with(wide)).unwrap_err().contains("bytes"));
        let mut heavy = service("s");
        heavy.metadata.insert("k".into(), "v".repeat(MAX_METADATA));
        assert!(check(&heavy).is_err());
        let mut many = service("s");
        many.endpoints = vec![proto::Endpoint::default(); MAX_ENDPOINTS + 1];
        assert!(check(&many).is_err());
    }

    #[test]
    fn a_list_that_is_too_long_loses_its_schemas_first() {
        let large = |name: &str, schema: usize, endpoint: usize, version: usize| {
            let mut service = service(name);
            service.version = "v".repeat(version);
            service.endpoints = vec![proto::Endpoint {
                name: "e".repeat(endpoint),
                request: Some(proto::Value {
                    name: "x".repeat(schema),
                    ..proto::Value::default()
                }),
                ..proto::Endpoint::default()
            }];
            service
        };
        let half = MAX_ANSWER / 2 + 1;
        let mut small = vec![large("a", 10, 10, 10); 2];
        fit(&mut small).unwrap();
        assert!(small[0].endpoints[0].request.is_some());
        let mut schemas = vec![large("a", half, 10, 10); 2];
        fit(&mut schemas).unwrap();
        assert!(schemas[1].endpoints[0].request.is_none());
        let mut endpoints = vec![large("a", 10, half, 10); 2];
        fit(&mut endpoints).unwrap();
        assert!(endpoints[1].endpoints.is_empty());
        assert!(fit(&mut vec![large("a", 10, 10, half); 2]).is_err());
    }
}
