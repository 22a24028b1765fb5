//! The core service `runtime`: services from their source to their end.

mod announce;
mod artifact;
mod bell;
mod build;
mod config;
mod health;
mod journal;
mod keeper;
mod lease;
mod live;
mod logs;
mod manager;
mod observe;
mod owner;
mod plan;
mod record;
mod relay;
mod restore;
mod run;
mod service;
mod source;
mod status;
mod take_over;
mod unpack;
#[cfg(test)]
mod unpack_tests;
mod update;
mod validate;
mod watch;
mod wish;

pub use config::RuntimeConfig;
pub use manager::Manager;

use micro_proto::runtime::{
    build_server::BuildServer, runtime_server::RuntimeServer, source_server::SourceServer,
};
use micro_wire::{Handlers, frame::MAX_MESSAGE, json::MethodsError};

/// `Runtime`, `Source` and `Build`, over `manager`.
pub(crate) fn handlers(manager: &Manager) -> Result<Handlers, MethodsError> {
    let pool = micro_proto::descriptor_pool();
    let runtime = service::RuntimeService(manager.clone());
    let source = source::SourceService(manager.clone());
    let build = build::BuildService(manager.clone());
    Handlers::new()
        .add(
            RuntimeServer::new(runtime).max_decoding_message_size(MAX_MESSAGE),
            pool,
        )?
        .add(
            SourceServer::new(source).max_decoding_message_size(MAX_MESSAGE),
            pool,
        )?
        .add(
            BuildServer::new(build).max_decoding_message_size(MAX_MESSAGE),
            pool,
        )
}
