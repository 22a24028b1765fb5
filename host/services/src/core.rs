//! The core services together: which there are, how a call finds one, and how they are.

use std::{collections::HashMap, sync::Arc};

use futures::future::{self, BoxFuture, FutureExt as _};
use http::{Request, Response};
use micro_access::{Access, ConfigKey};
use micro_modules::{Module, ModuleHealth, Modules, Reloader};
use micro_wire::{
    Error, Handlers, clipped, error::CLIENT_ID, json::MethodsError, path::MethodPath,
};
use tokio::runtime::Handle;
use tonic::body::Body;

use crate::{
    auth, broker, config,
    debug::{self, Counters},
    events, guard, profile, registry, runtime,
    runtime::Manager,
    store,
};

/// What core services stand on. Clones share it.
#[derive(Clone)]
pub struct Platform {
    /// The modules of the profile.
    pub modules: Arc<Modules>,
    /// Accounts, tokens and rules.
    pub access: Access,
    /// The services that it runs. Whoever ends the server ends these first
    /// ([`Manager::shutdown`]).
    pub manager: Manager,
    /// What secrets of configurations are sealed with.
    pub config_key: ConfigKey,
    /// What follows the profile that the modules were opened by; `None` if there is none.
    pub reloader: Option<Arc<Reloader>>,
    /// Where work goes on that outlives the call which began it.
    pub background: Handle,
}

/// How one core service is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceHealth {
    /// Its name.
    pub service: &'static str,
    /// Why it cannot serve, if it cannot.
    pub error: Option<String>,
}

/// A core service.
pub(crate) struct Service {
    pub(crate) name: &'static str,
    pub(crate) handlers: Handlers,
    pub(crate) counters: Arc<Counters>,
    /// The modules without which it cannot serve.
    needs: &'static [Module],
    /// Whether the registry is told of it.
    pub(crate) registered: bool,
}

#[cfg(test)]
impl Service {
    /// A service that stands on nothing.
    pub(crate) fn for_tests(name: &'static str, handlers: Handlers) -> Self {
        Self {
            name,
            handlers,
            counters: Arc::default(),
            needs: &[],
            registered: false,
        }
    }
}

/// The services that this server answers itself, in process. Clones share them.
#[derive(Clone)]
pub struct CoreServices {
    services: Arc<HashMap<&'static str, Arc<Service>>>,
    access: Access,
}

impl CoreServices {
    /// All core services, over `platform`.
    ///
    /// # Errors
    /// Two handlers of one name in one service, which is a mistake in this crate.
    pub fn new(platform: &Platform) -> Result<Self, MethodsError> {
        debug::start();
        let service = |name, handlers, needs, registered| {
            let counters = Arc::new(Counters::default());
            debug::add(handlers, name, counters.clone(), &platform.modules, needs).map(|handlers| {
                Service {
                    name,
                    handlers,
                    counters,
                    needs,
                    registered,
                }
            })
        };
        let services = [
            service("auth", auth::handlers(platform)?, &[Module::Store], true)?,
            service(
                "broker",
                broker::handlers(platform)?,
                &[Module::Broker],
                true,
            )?,
            service(
                "config",
                config::handlers(platform)?,
                &[Module::Store],
                true,
            )?,
            service(
                "events",
                events::handlers(platform)?,
                &[Module::Stream],
                true,
            )?,
            service(
                "registry",
                registry::handlers(platform)?,
                &[Module::Registry],
                true,
            )?,
            service(
                "store",
                store::handlers(platform)?,
                &[Module::Store, Module::Blob],
                true,
            )?,
            service(
                "runtime",
                runtime::handlers(&platform.manager)?,
                &[Module::Runtime, Module::Store, Module::Blob],
                true,
            )?,
            // Of this process, as `debug` is: another server has a profile of its own.
            service("profile", profile::handlers(platform)?, &[], false)?,
            service("network", Handlers::new(), &[], true)?,
            service("api", Handlers::new(), &[], true)?,
            service("proxy", Handlers::new(), &[], true)?,
            // `/debug.Debug/Health`, as a client made from the proto calls it, means this process.
            service("debug", Handlers::new(), &[], false)?,
        ];
        Ok(Self {
            services: Arc::new(
                services
                    .into_iter()
                    .map(|service| (service.name, Arc::new(service)))
                    .collect(),
            ),
            access: platform.access.clone(),
        })
    }

    /// Whether calls to the registry name `service` are answered here.
    pub fn serves(&self, service: &str) -> bool {
        self.services.contains_key(service)
    }

    /// Answers a call, whose caller stands in the request's extensions. Every failure is a gRPC
    /// status in the response. Dropping the future, or the body of the response, cancels the call.
    pub fn call(&self, request: Request<Body>) -> BoxFuture<'static, Response<Body>> {
        let service = match MethodPath::parse(request.uri().path()) {
            Ok(path) => self.services.get(path.service).cloned().ok_or_else(|| {
                let detail = format!("service {}: route not found", clipped(path.service));
                Error::not_found(CLIENT_ID, detail)
            }),
            Err(error) => Err(error),
        };
        match service {
            Ok(service) => guard::answer(service, request).boxed(),
            Err(error) => future::ready(error.grpc_response()).boxed(),
        }
    }

    /// How each service is, given how its modules are ([`Modules::health`]).
    pub fn health(&self, modules: &[ModuleHealth]) -> Vec<ServiceHealth> {
        let mut all: Vec<_> = self
            .services
            .values()
            .map(|service| ServiceHealth {
                service: service.name,
                error: debug::error_of(service.needs, modules)
                    .or_else(|| self.problem_of_access(service.name)),
            })
            .collect();
        all.sort_by_key(|health| health.service);
        all
    }

    /// What keeps accounts and tokens, and with them the service `auth`, from being well.
    fn problem_of_access(&self, service: &str) -> Option<String> {
        if service != "auth" {
            return None;
        }
        self.access.key_problem().or_else(|| {
            let stale = "accounts and rules cannot be read from the store";
            self.access.is_stale().then(|| stale.to_owned())
        })
    }

    pub(crate) fn registered(&self) -> impl Iterator<Item = &Service> {
        self.services
            .values()
            .map(Arc::as_ref)
            .filter(|service| service.registered)
    }
}

impl micro_route::Core for CoreServices {
    fn serves(&self, service: &str) -> bool {
        self.serves(service)
    }

    fn call(&self, request: Request<Body>) -> BoxFuture<'static, Response<Body>> {
        self.call(request)
    }
}
