//! The core service `config`: JSON values under dotted paths of a namespace, some of them secret.
//!
//! A namespace's configuration is one record, so that a reader sees each change whole; [`writer`]
//! puts concurrent changes together.

mod path;
mod service;
mod stored;
mod tree;
mod value;
mod watch;
mod writer;

use micro_proto::config::config_server::ConfigServer;
use micro_wire::{Handlers, frame::MAX_MESSAGE, json::MethodsError};

use self::service::ConfigService;
use crate::Platform;

/// The handler `Config`.
pub(crate) fn handlers(platform: &Platform) -> Result<Handlers, MethodsError> {
    let config = ConfigServer::new(ConfigService::new(platform));
    Handlers::new().add(
        config.max_decoding_message_size(MAX_MESSAGE),
        micro_proto::descriptor_pool(),
    )
}
