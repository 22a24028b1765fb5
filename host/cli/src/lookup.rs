//! Finding a service in the registry, and its nodes.

use futures::future::join;
use micro_proto::registry::{GetRequest, GetResponse, Node, Options, Service};

use crate::{
    context::DEFAULT_NAMESPACE,
    error::{CliError, Result},
    session::{Failure, Session},
};

/// The platform's own services: they are the same ones in every namespace.
pub(crate) const CORE: [&str; 14] = [
    "api", "auth", "broker", "config", "debug", "events", "network", "profile", "proxy",
    "registry", "router", "runtime", "store", "web",
];

/// A service as the registry knows it.
pub(crate) struct Found {
    /// Its records, one a version; at least one.
    pub(crate) versions: Vec<Service>,
    /// The namespace that they are in.
    pub(crate) namespace: String,
}

/// Looks in the current namespace, then in `micro`; both are asked at once. None if it is in neither.
///
/// # Errors
/// The registry cannot be asked.
pub(crate) async fn find(session: &Session<'_>, name: &str) -> Result<Option<Found>> {
    let own = session.namespace();
    let (found, common) = if own == DEFAULT_NAMESPACE || CORE.contains(&name) {
        (Ok(None), versions(session, name, DEFAULT_NAMESPACE).await)
    } else {
        let own = versions(session, name, own);
        join(own, versions(session, name, DEFAULT_NAMESPACE)).await
    };
    let found_in = |versions, namespace: &str| {
        Ok(Some(Found {
            versions,
            namespace: namespace.to_owned(),
        }))
    };
    match (found, common) {
        (Ok(Some(versions)), _) => found_in(versions, own),
        (_, Ok(Some(versions))) => found_in(versions, DEFAULT_NAMESPACE),
        (Err(failure), _) | (_, Err(failure)) => Err(failure.into()),
        (Ok(None), Ok(None)) => Ok(None),
    }
}

/// As [`find`], for commands about one service.
///
/// # Errors
/// `service not found`, exit code 128.
pub(crate) async fn expect(session: &Session<'_>, name: &str) -> Result<Found> {
    find(session, name).await?.ok_or_else(|| {
        CliError::new(128, "service not found").hint("`micro services` lists those that are there")
    })
}

/// The records of a service in a namespace; none if it is not there.
async fn versions(
    session: &Session<'_>,
    name: &str,
    namespace: &str,
) -> std::result::Result<Option<Vec<Service>>, Failure> {
    let request = GetRequest {
        service: name.to_owned(),
        options: Some(Options {
            domain: namespace.to_owned(),
            ..Options::default()
        }),
    };
    let response: std::result::Result<GetResponse, Failure> = session
        .call("registry", "Registry.GetService", &request)
        .await;
    match response {
        Ok(response) => Ok(Some(response.services).filter(|services| !services.is_empty())),
        Err(failure) if failure.is_missing() => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Where a node listens: the port is a part of the address or stands beside it.
pub(crate) fn address(node: &Node) -> String {
    match node.port {
        0 => node.address.clone(),
        port => format!("{}:{port}", node.address),
    }
}
