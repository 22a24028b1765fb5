//! The core service `profile`: which plugins serve, and the change to others while the server runs.

mod service;

use micro_proto::profile::profile_server::ProfileServer;
use micro_wire::{Handlers, json::MethodsError};

use self::service::ProfileService;
use crate::Platform;

/// The handler `Profile`.
pub(crate) fn handlers(platform: &Platform) -> Result<Handlers, MethodsError> {
    let service = ProfileService {
        reloader: platform.reloader.clone(),
        background: platform.background.clone(),
    };
    Handlers::new().add(ProfileServer::new(service), micro_proto::descriptor_pool())
}
