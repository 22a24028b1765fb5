//! The core services as a dispatcher sees them: something in this process that answers calls.

use futures::future::BoxFuture;
use http::{Request, Response};

/// The services that this server answers itself.
///
/// A call to one of them never leaves the process, whichever namespace it is made in. The request
/// carries the [`micro_access::Caller`] in its extensions.
pub trait Core: Send + Sync + 'static {
    /// Whether calls to the registry name `service` are answered here.
    fn serves(&self, service: &str) -> bool;

    /// Answers a call. Every failure is a gRPC status in the response. Dropping the future, or the
    /// body of the response, cancels the call.
    fn call(
        &self,
        request: Request<tonic::body::Body>,
    ) -> BoxFuture<'static, Response<tonic::body::Body>>;
}

/// The registry names that belong to the platform. A call to one of them is answered in the
/// process or not at all: no record in the registry can take it elsewhere.
pub const RESERVED: [&str; 14] = [
    "api", "auth", "broker", "config", "debug", "events", "network", "profile", "proxy",
    "registry", "router", "runtime", "store", "web",
];

/// Whether `service` is one of the [`RESERVED`] names.
pub fn is_reserved(service: &str) -> bool {
    RESERVED.contains(&service)
}
