//! What every service answers beside its own handlers: `Debug`, health and reflection.

use std::sync::Arc;

use micro_proto::debug::debug_server::DebugServer;
use prost_reflect::ServiceDescriptor;
use tonic_health::{ServingStatus, server::HealthReporter};

use super::{debug::DebugHandler, stats::Stats};
use crate::wire::{Handlers, json::MethodsError};

/// Why they cannot be added.
pub(super) enum Problem {
    Handlers(MethodsError),
    Reflection(String),
}

impl From<MethodsError> for Problem {
    fn from(error: MethodsError) -> Self {
        Self::Handlers(error)
    }
}

/// The health of the service, to be changed when it stops.
#[derive(Clone)]
pub(super) struct Standard {
    health: HealthReporter,
    names: Vec<String>,
}

impl Standard {
    /// The handlers with the standard ones among them.
    pub(super) fn add_to(
        handlers: Handlers,
        descriptors: &[Vec<u8>],
        stats: Arc<Stats>,
    ) -> Result<(Self, Handlers), Problem> {
        let handlers = handlers.add(
            DebugServer::new(DebugHandler { stats }),
            micro_proto::descriptor_pool(),
        )?;
        let names: Vec<String> = handlers
            .services()
            .iter()
            .map(|s| s.full_name().to_owned())
            .collect();

        let reflection = || {
            let mut builder = tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(micro_proto::FILE_DESCRIPTOR_SET)
                .with_service_name("grpc.health.v1.Health");
            for set in descriptors {
                builder = builder.register_encoded_file_descriptor_set(set);
            }
            // The sets hold services that are not served here.
            names
                .iter()
                .fold(builder, |builder, name| builder.with_service_name(name))
        };
        let bad = |error: tonic_reflection::server::Error| Problem::Reflection(error.to_string());
        let (health, health_server) = tonic_health::server::health_reporter();
        let standard = Self {
            health,
            names: names.clone(),
        };
        let handlers = handlers
            .add_standard(health_server)
            .add_standard(reflection().build_v1().map_err(bad)?)
            .add_standard(reflection().build_v1alpha().map_err(bad)?);
        Ok((standard, handlers))
    }

    /// `SERVING`, for the process and for each handler.
    pub(super) async fn serving(&self) {
        self.set(ServingStatus::Serving).await;
    }

    pub(super) async fn not_serving(&self) {
        self.set(ServingStatus::NotServing).await;
    }

    async fn set(&self, status: ServingStatus) {
        self.health.set_service_status("", status).await;
        for name in &self.names {
            self.health.set_service_status(name, status).await;
        }
    }
}

/// Whether a call is one of the platform's own questions rather than one that the service is for.
pub(super) fn is_standard(path: &str) -> bool {
    path.starts_with("/grpc.")
        || path
            .rsplit_once('/')
            .is_some_and(|(service, _)| service.ends_with(".Debug") || service == "/Debug")
}

/// The endpoint name in a span.
pub(super) fn endpoint(services: &[ServiceDescriptor], path: &str) -> Option<String> {
    let parsed = crate::wire::path::MethodPath::parse(path).ok()?;
    services
        .iter()
        .any(|s| s.name() == parsed.handler)
        .then(|| parsed.endpoint())
}
