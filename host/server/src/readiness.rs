//! Whether the server is ready: every module and core service is well, and can be found.

use std::sync::Arc;

use futures::future::BoxFuture;
use micro_gateway::{Readiness, Unready};
use micro_modules::{Modules, Reloader};
use micro_services::CoreServices;

use crate::registration::Registration;

/// What `/readyz` looks at. Modules are asked in the background; this tells what they answered
/// last, so that a module which hangs does not hang whoever asks.
pub(crate) struct Parts {
    pub(crate) modules: Arc<Modules>,
    pub(crate) core: CoreServices,
    pub(crate) registration: Arc<Registration>,
    pub(crate) reloader: Arc<Reloader>,
}

impl Readiness for Parts {
    fn unready(&self) -> BoxFuture<'_, Vec<Unready>> {
        Box::pin(async {
            let health = match self.modules.last_health() {
                Some(health) => health.to_vec(),
                None => self.modules.health().await,
            };
            let modules = health.iter().filter_map(|module| {
                Some(Unready {
                    kind: "module",
                    name: module.module.to_owned(),
                    reason: format!("plugin {}: {}", module.plugin, module.error.as_ref()?),
                })
            });
            let services = self.core.health(&health).into_iter().filter_map(|service| {
                Some(Unready {
                    kind: "service",
                    name: service.service.to_owned(),
                    reason: service.error?,
                })
            });
            let registration = self.registration.error().map(|reason| Unready {
                kind: "service",
                name: "registry".to_owned(),
                reason,
            });
            modules.chain(services).chain(registration).collect()
        })
    }

    fn warnings(&self) -> Vec<String> {
        let status = self.reloader.status();
        status.problems().map(str::to_owned).collect()
    }
}
