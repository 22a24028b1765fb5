//! A node as etcd's value: a JSON object with the node, what it said of its service, and until when
//! that holds.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use micro_plugin_api::{
    Error, Result,
    registry::{Endpoint, Node, Service},
    store::Expiry,
};
use serde::{Deserialize, Serialize};

/// A moment: microseconds since the Unix epoch, since milliseconds would end a ttl too early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Moment(u64);

impl Moment {
    pub(super) fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self(since.map_or(0, |since| since.as_micros().try_into().unwrap_or(u64::MAX)))
    }

    /// This long from now, if there is such a moment.
    pub(super) fn after(ttl: Duration) -> Option<Self> {
        let ttl = u64::try_from(ttl.as_micros()).ok()?;
        Self::now().0.checked_add(ttl).map(Self)
    }

    /// How long until then; zero when it has come.
    pub(super) fn remaining(self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(Self::now().0))
    }

    /// The first expiry that is not before it.
    pub(super) fn to_expiry(self) -> Expiry {
        Expiry(self.0.div_ceil(1_000))
    }
}

/// A registered node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Registered {
    pub(super) node: Node,
    /// What its server said of the service.
    #[serde(default)]
    pub(super) metadata: BTreeMap<String, String>,
    /// What its server said that the service offers.
    #[serde(default)]
    pub(super) endpoints: Vec<Endpoint>,
    /// Until when it is kept, if not until it is deregistered.
    #[serde(default)]
    pub(super) until_micros: Option<Moment>,
}

impl Registered {
    pub(super) fn new(service: &Service, node: &Node, until: Option<Moment>) -> Self {
        Self {
            node: node.clone(),
            metadata: service.metadata.clone(),
            endpoints: service.endpoints.clone(),
            until_micros: until,
        }
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self)
            .map_err(|error| Error::internal(format!("a node as JSON: {error}")))
    }

    /// The node that is stored so; `None` if that is none.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}
