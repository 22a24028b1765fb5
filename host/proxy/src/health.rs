//! `grpc.health.v1`: the server as a whole, and every service that can be called.

use std::{pin::Pin, sync::Arc};

use futures::Stream;
use http::HeaderMap;
use micro_route::{Dispatcher, NoRoute};
use micro_wire::metadata::{DEFAULT_NAMESPACE, NAMESPACE};
use tonic::{Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus, health_server,
};

/// Answers health checks from what the routes know. A service counts as serving when it is a core
/// service, or has a node that is not in its back-off.
pub(crate) struct Health {
    dispatcher: Arc<Dispatcher>,
}

impl Health {
    pub(crate) fn new(dispatcher: Arc<Dispatcher>) -> Self {
        Self { dispatcher }
    }

    /// `name` is blank for the whole server, a registry name, or that of a gRPC service.
    async fn status(&self, namespace: &str, name: &str) -> Result<Option<ServingStatus>, Status> {
        if name.is_empty() || name.starts_with("grpc.") {
            return Ok(Some(ServingStatus::Serving));
        }
        let shorter = name.rsplit_once('.').map(|(service, _)| service);
        for service in [Some(name), shorter].into_iter().flatten() {
            if let Some(known) = self.now(namespace, service) {
                return Ok(Some(known));
            }
        }
        // A last look at the registry, one for either name.
        match self.dispatcher.routes().find(namespace, name).await {
            Ok(_) => {}
            Err(NoRoute::Unknown) => {}
            Err(NoRoute::Registry(reason)) => return Err(Status::unavailable(reason)),
        }
        Ok([Some(name), shorter]
            .into_iter()
            .flatten()
            .find_map(|service| self.now(namespace, service)))
    }

    fn now(&self, namespace: &str, service: &str) -> Option<ServingStatus> {
        if self.dispatcher.core().serves(service) {
            return Some(ServingStatus::Serving);
        }
        let route = self.dispatcher.routes().get(namespace, service)?;
        Some(if route.nodes().iter().any(|node| node.is_available()) {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        })
    }
}

fn namespace(headers: &HeaderMap) -> String {
    let named = headers.get(NAMESPACE).and_then(|value| value.to_str().ok());
    named
        .filter(|name| !name.is_empty())
        .unwrap_or(DEFAULT_NAMESPACE)
        .to_owned()
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}

#[tonic::async_trait]
impl health_server::Health for Health {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        let namespace = namespace(&metadata.into_headers());
        match self.status(&namespace, &message.service).await? {
            Some(status) => Ok(Response::new(response(status))),
            None => Err(Status::not_found(format!(
                "service {} is not known",
                message.service
            ))),
        }
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let (metadata, _, message) = request.into_parts();
        let namespace = namespace(&metadata.into_headers());
        let health = Self::new(self.dispatcher.clone());
        let changes = self.dispatcher.routes().changes();
        let state = (health, changes, None);
        let stream = futures::stream::unfold(state, move |(health, mut changes, last)| {
            let (namespace, name) = (namespace.clone(), message.service.clone());
            async move {
                loop {
                    changes.mark_unchanged();
                    let status = health.status(&namespace, &name).await;
                    let status = match status {
                        Ok(known) => known.unwrap_or(ServingStatus::ServiceUnknown),
                        // The registry is away; what was told last stays true for now.
                        Err(_) => last.unwrap_or(ServingStatus::Unknown),
                    };
                    if last != Some(status) {
                        return Some((Ok(response(status)), (health, changes, Some(status))));
                    }
                    changes.changed().await.ok()?;
                }
            }
        });
        Ok(Response::new(Box::pin(stream)))
    }
}
