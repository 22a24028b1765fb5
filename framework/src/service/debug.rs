//! The `Debug` handler, which every service has.

use std::sync::Arc;

use micro_proto::debug::{
    HealthRequest, HealthResponse, LogRequest, LogResponse, StatsRequest, StatsResponse,
    TraceRequest, TraceResponse, debug_server::Debug,
};
use tonic::{Request, Response, Status};

use super::stats::Stats;

pub(super) struct DebugHandler {
    pub(super) stats: Arc<Stats>,
}

#[tonic::async_trait]
impl Debug for DebugHandler {
    async fn log(&self, _: Request<LogRequest>) -> Result<Response<LogResponse>, Status> {
        // Whoever may call a service could read it; the runtime asks who wants to.
        Err(Status::unimplemented(
            "a service's log is read with `micro logs`",
        ))
    }

    async fn health(&self, _: Request<HealthRequest>) -> Result<Response<HealthResponse>, Status> {
        Ok(Response::new(HealthResponse {
            status: "ok".to_owned(),
        }))
    }

    async fn stats(&self, _: Request<StatsRequest>) -> Result<Response<StatsResponse>, Status> {
        Ok(Response::new(self.stats.now()))
    }

    async fn trace(&self, r: Request<TraceRequest>) -> Result<Response<TraceResponse>, Status> {
        Ok(Response::new(TraceResponse {
            spans: self.stats.spans(&r.get_ref().id),
        }))
    }
}
