//! `Debug`, which every core service answers for itself: is it well, and what has it done.

mod counters;
mod process;

use std::sync::Arc;

use micro_modules::{Module, ModuleHealth, Modules};
use micro_proto::debug::{
    HealthRequest, HealthResponse, LogRequest, LogResponse, StatsRequest, StatsResponse,
    TraceRequest, TraceResponse,
    debug_server::{Debug, DebugServer},
};
use micro_wire::{Error, Handlers, json::MethodsError};
use tonic::{Request, Response, Status};

pub(crate) use counters::Counters;
pub(crate) use process::start;

use crate::error;

/// Adds the handler `Debug` to those of the core service `name`, which needs these modules.
pub(crate) fn add(
    handlers: Handlers,
    name: &'static str,
    counters: Arc<Counters>,
    modules: &Arc<Modules>,
    needs: &'static [Module],
) -> Result<Handlers, MethodsError> {
    let service = DebugService {
        name,
        counters,
        modules: modules.clone(),
        needs,
    };
    handlers.add(DebugServer::new(service), micro_proto::descriptor_pool())
}

/// Why a service that needs these modules cannot serve, if it cannot.
pub(crate) fn error_of(needs: &[Module], modules: &[ModuleHealth]) -> Option<String> {
    let failing: Vec<_> = modules
        .iter()
        .filter(|health| needs.iter().any(|need| need.as_str() == health.module))
        .filter_map(|health| {
            let error = health.error.as_ref()?;
            Some(format!("{} ({}): {error}", health.module, health.plugin))
        })
        .collect();
    (!failing.is_empty()).then(|| failing.join("; "))
}

struct DebugService {
    name: &'static str,
    counters: Arc<Counters>,
    modules: Arc<Modules>,
    needs: &'static [Module],
}

#[tonic::async_trait]
impl Debug for DebugService {
    /// `ok`, or 503 with the modules that fail. Goes by the last periodic check of the modules:
    /// asking a service how it is costs its backends nothing.
    async fn health(&self, _: Request<HealthRequest>) -> Result<Response<HealthResponse>, Status> {
        let modules = self.modules.last_health();
        let error = modules.and_then(|modules| error_of(self.needs, &modules));
        match error {
            None => Ok(Response::new(HealthResponse {
                status: "ok".to_owned(),
            })),
            Some(error) => {
                let id = format!("{}.Debug.Health", self.name);
                Err(Error::service_unavailable(id, error).into())
            }
        }
    }

    async fn stats(&self, _: Request<StatsRequest>) -> Result<Response<StatsResponse>, Status> {
        Ok(Response::new(process::stats(&self.counters)))
    }

    async fn log(&self, _: Request<LogRequest>) -> Result<Response<LogResponse>, Status> {
        Err(error::not_built("Debug.Log"))
    }

    async fn trace(&self, _: Request<TraceRequest>) -> Result<Response<TraceResponse>, Status> {
        Err(error::not_built("Debug.Trace"))
    }
}
