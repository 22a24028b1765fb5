//! The records of the core services in the registry, like those of any other service: registered
//! at start, renewed under a time to live, removed at the end.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::future::join_all;
use micro_modules::Modules;
use micro_plugin_api::{
    Call,
    registry::{Node, Service},
};
use tokio_util::sync::CancellationToken;

/// How long a record lives without being renewed.
const TTL: Duration = Duration::from_secs(90);
/// How often records are renewed.
const RENEW: Duration = Duration::from_secs(30);
/// How soon a registration that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How long the registry may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The domain of the core services, which every namespace sees.
const DOMAIN: &str = "micro";
/// Their version.
const VERSION: &str = "latest";

/// Why they are not there before the first attempt.
const NOT_YET: &str = "not registered yet";

/// The records of this server's core services.
pub(crate) struct Registration {
    modules: Arc<Modules>,
    records: Vec<Service>,
    error: Mutex<Option<String>>,
}

impl Registration {
    /// Makes a record of each service, with this server as its node.
    pub(crate) fn new(
        modules: Arc<Modules>,
        services: impl IntoIterator<Item = Service>,
        server_id: &str,
        address: SocketAddr,
    ) -> Self {
        let records = services
            .into_iter()
            .map(|service| Service {
                domain: DOMAIN.to_owned(),
                version: VERSION.to_owned(),
                nodes: vec![Node {
                    id: format!("{}-{server_id}", service.name),
                    address: address.to_string(),
                    port: 0,
                    metadata: node_metadata(),
                }],
                ..service
            })
            .collect();
        Self {
            modules,
            records,
            error: Mutex::new(Some(NOT_YET.to_owned())),
        }
    }

    /// Why the services are not in the registry, if they are not.
    pub(crate) fn error(&self) -> Option<String> {
        // A panic cannot leave a string half assigned.
        self.error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Registers every record now. What fails is logged, and told by [`Registration::error`].
    pub(crate) async fn register(&self) {
        let registry = self.modules.registry();
        let call = Call::new(DOMAIN).with_timeout(TIMEOUT);
        let registered = self
            .records
            .iter()
            .map(|record| registry.register(&call, record, Some(TTL)));
        let failed = join_all(registered).await.into_iter().find_map(Result::err);
        let error = failed.map(|error| format!("cannot register the core services: {error}"));
        let mut last = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        let was_failing = last.as_ref().is_some_and(|last| last != NOT_YET);
        match &error {
            // Said once: an outage is full of attempts.
            Some(error) if was_failing => tracing::debug!("{error}"),
            Some(error) => tracing::warn!("{error}"),
            None if was_failing => tracing::info!("the core services are registered"),
            None => {}
        }
        *last = error;
    }

    /// Keeps the records alive until `stop`.
    pub(crate) async fn renew(&self, stop: CancellationToken) {
        loop {
            let pause = if self.error().is_some() { RETRY } else { RENEW };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => self.register().await,
            }
        }
    }

    /// Takes the records out of the registry, so that nobody else sends calls here.
    pub(crate) async fn deregister(&self) {
        let registry = self.modules.registry();
        let call = Call::new(DOMAIN).with_timeout(TIMEOUT);
        let gone = self
            .records
            .iter()
            .map(|record| registry.deregister(&call, record));
        let gone = tokio::time::timeout(TIMEOUT, join_all(gone)).await;
        let error = match gone {
            Ok(results) => results
                .into_iter()
                .find_map(Result::err)
                .map(|error| error.to_string()),
            Err(_) => Some("the registry does not answer".to_owned()),
        };
        if let Some(error) = error {
            tracing::warn!("cannot deregister the core services: {error}; their records expire");
        }
    }
}

/// What the nodes of services say of themselves, those of the framework too.
fn node_metadata() -> BTreeMap<String, String> {
    let facts = [
        ("domain", DOMAIN),
        ("protocol", "grpc"),
        ("server", "grpc"),
        ("transport", "grpc"),
    ];
    facts
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}
