//! What only the server that runs a service can answer, asked of it in the caller's name.

use std::time::Duration;

use micro_proto::runtime::runtime_client::RuntimeClient;
use micro_wire::{Error, metadata};
use tonic::{
    Request, Status,
    metadata::{MetadataMap, MetadataValue},
    transport::{Channel, Endpoint},
};

use super::lease::Lease;

/// Marks what was passed on once: it is not passed on again.
const RELAYED: &str = "micro-relayed";

/// What of the caller's metadata goes along.
const PASSED_ON: [&str; 5] = [
    metadata::AUTHORIZATION,
    metadata::NAMESPACE,
    metadata::TRACEPARENT,
    metadata::TRACESTATE,
    metadata::GRPC_TIMEOUT,
];

/// How long the other server may take to take the connection.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Whether a request came from another server.
pub(super) fn is_relayed(request: &MetadataMap) -> bool {
    request.contains_key(RELAYED)
}

/// A request of the same caller to another server.
pub(super) fn request<T>(message: T, from: &MetadataMap) -> Request<T> {
    let mut request = Request::new(message);
    let metadata = request.metadata_mut();
    for name in PASSED_ON {
        if let Some(value) = from.get(name) {
            metadata.insert(name, value.clone());
        }
    }
    metadata.insert(RELAYED, MetadataValue::from_static("true"));
    request
}

/// A client of the server that holds a lease. `id` is the endpoint that was called, `what` what
/// it is asked for.
pub(super) async fn client(
    lease: &Lease,
    id: &str,
    what: &str,
) -> Result<RuntimeClient<Channel>, Status> {
    let address = &lease.address;
    let unreachable = |_| {
        let detail = format!(
            "{what} is with the server that runs the service, and that one does not answer at {address}; \
             try again, or call that server"
        );
        Status::from(Error::service_unavailable(id, detail))
    };
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(unreachable)?;
    let channel = endpoint.connect_timeout(TIMEOUT).connect().await;
    Ok(RuntimeClient::new(channel.map_err(unreachable)?))
}
