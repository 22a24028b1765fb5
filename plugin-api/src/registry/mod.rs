//! The `registry` module: which services exist, what they offer and where their nodes are.

mod catalog;
mod handle;
mod types;

pub use catalog::Catalog;
pub(crate) use handle::DynRegistry;
pub use handle::RegistryHandle;
pub use types::{Change, Endpoint, Filter, Node, Service, Value};

use std::time::Duration;

use crate::{BoxStream, Call, Result};

/// Which services exist, in domains that do not see each other.
///
/// A service is a domain, a name and a version; its nodes expire one by one, and the service goes
/// with its last node.
pub trait Registry: Send + Sync + 'static {
    /// Adds or renews the nodes of `service`, and replaces what was known of its metadata and
    /// endpoints. Each node named is kept for `ttl`, or until it is deregistered. Nodes that are
    /// not named stay as they are.
    fn register(
        &self,
        call: &Call,
        service: &Service,
        ttl: Option<Duration>,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Removes the nodes that `service` names (by id) from its domain, name and version. What is
    /// gone already is no error.
    fn deregister(&self, call: &Call, service: &Service)
    -> impl Future<Output = Result<()>> + Send;

    /// The services that match, one for each domain, name and version, in that order; no node of
    /// theirs has expired.
    fn list(
        &self,
        call: &Call,
        filter: &Filter,
    ) -> impl Future<Output = Result<Vec<Service>>> + Send;

    /// The services that match, as [`Change::Present`], then [`Change::Synced`], then every change
    /// from there on, so that whoever subscribes again misses nothing. Expiry of a node is a
    /// change like any other.
    fn watch(
        &self,
        call: &Call,
        filter: &Filter,
    ) -> impl Future<Output = Result<BoxStream<Result<Change>>>> + Send;

    /// Whether the registry could serve a call now. The default says yes.
    fn health(&self, _call: &Call) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// Finishes what is under way and lets go of what is held. Called once, when no call is left.
    fn shutdown(&self, _call: &Call) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }
}
