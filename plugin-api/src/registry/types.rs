//! The types of the `registry` module. They cross the boundary as JSON documents, so that they
//! can gain fields without a new interface.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One version of a service, with its endpoints and nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Service {
    /// The domain: the namespace that sees it.
    pub domain: String,
    /// The name that calls are addressed to.
    pub name: String,
    /// The version.
    pub version: String,
    /// Facts about the service.
    pub metadata: BTreeMap<String, String>,
    /// What can be called.
    pub endpoints: Vec<Endpoint>,
    /// Where it runs.
    pub nodes: Vec<Node>,
}

/// One process that serves a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Node {
    /// Unique within the service.
    pub id: String,
    /// `host:port`, an IPv6 host in brackets.
    pub address: String,
    /// The port where it is not part of the address, else 0.
    pub port: i64,
    /// Facts about the node.
    pub metadata: BTreeMap<String, String>,
}

/// Something that can be called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Endpoint {
    /// `Handler.Method`.
    pub name: String,
    /// The shape of the request.
    pub request: Option<Value>,
    /// The shape of the response.
    pub response: Option<Value>,
    /// Facts about the endpoint; `stream` = `true` for one that streams.
    pub metadata: BTreeMap<String, String>,
}

/// The shape of a message or of one of its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Value {
    /// The name of the field, or of the message at the top.
    pub name: String,
    /// Its type, as spec'd in the registry's wire format (`string`, `[]int64`, a message name).
    #[serde(rename = "type")]
    pub kind: String,
    /// The fields of a message.
    pub values: Vec<Value>,
}

/// Which services to list or to watch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// The domain, or every domain.
    pub domain: Option<String>,
    /// The name, or every name.
    pub name: Option<String>,
}

impl Filter {
    /// Whether `service` is one of those that are meant.
    pub fn matches(&self, service: &Service) -> bool {
        self.domain.as_ref().is_none_or(|d| *d == service.domain)
            && self.name.as_ref().is_none_or(|n| *n == service.name)
    }
}

/// What a watch brings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "service", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Change {
    /// A service that was there when the watch began.
    Present(Service),
    /// Everything that was there has been told.
    Synced,
    /// A version that was not there before.
    Created(Service),
    /// Its nodes, endpoints or metadata are now these.
    Updated(Service),
    /// Its last node is gone; this is how it was last.
    Deleted(Service),
}
