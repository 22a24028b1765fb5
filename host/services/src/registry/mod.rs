//! The core service `registry`: which services exist in a domain, and where.

mod events;
mod limits;
mod record;
mod watch;

use std::{sync::Arc, time::Duration};

use micro_access::{Caller, namespace};
use micro_modules::Modules;
use micro_plugin_api::{
    BoxStream, Call,
    registry::{Filter, Service},
};
use micro_proto::registry::{
    EmptyResponse, EventType, GetRequest, GetResponse, ListRequest, ListResponse, Options,
    Result as WatchResult, Service as ProtoService, WatchRequest,
    registry_server::{Registry, RegistryServer},
};
use micro_wire::{Error, Handlers, frame::MAX_MESSAGE, json::MethodsError};
use tonic::{Request, Response, Status};

use self::events::Events;
use crate::{Platform, error, request};

/// The domain that stands for all of them.
const EVERY_DOMAIN: &str = namespace::EVERY;

/// The handler `Registry`.
pub(crate) fn handlers(platform: &Platform) -> Result<Handlers, MethodsError> {
    let registry = RegistryServer::new(RegistryService {
        modules: platform.modules.clone(),
        events: Events::new(platform.modules.clone()),
    });
    Handlers::new().add(
        registry.max_decoding_message_size(MAX_MESSAGE),
        micro_proto::descriptor_pool(),
    )
}

/// The services of every domain.
struct RegistryService {
    modules: Arc<Modules>,
    events: Events,
}

/// The services that a reader may see: those of the domain that it names, else of its namespace.
///
/// Rules, which the door has gone by, decide on reads in the caller's own namespace. The domain of
/// the platform is everybody's to read, since its services are everybody's to call. Another one
/// takes an account that may act there; all of them at once, one that may act everywhere.
fn readable(
    id: &str,
    caller: &Caller,
    options: Option<&Options>,
    name: Option<String>,
) -> Result<Filter, Error> {
    let named = options.map(|options| options.domain.as_str());
    let domain = request::namespace_of(named, caller);
    let open = domain == caller.namespace || domain == namespace::DEFAULT;
    if domain == EVERY_DOMAIN || !open {
        caller.authorize(id, domain)?;
    }
    Ok(Filter {
        domain: (domain != EVERY_DOMAIN).then(|| domain.to_owned()),
        name,
    })
}

/// The record that a caller may write or remove, with the ttl that it asks for.
fn writable(
    id: &str,
    caller: &Caller,
    service: ProtoService,
) -> Result<(Service, Option<Duration>), Error> {
    let options = service.options.clone().unwrap_or_default();
    let domain = request::namespace_of(Some(&options.domain), caller).to_owned();
    caller.authorize(id, &domain)?;
    if domain == EVERY_DOMAIN {
        return Err(Error::bad_request(
            id,
            "a service belongs to one domain, not to `*`",
        ));
    }
    caller.authorize_admin(id, &domain)?;
    if service.name.is_empty() {
        return Err(Error::bad_request(id, "Missing service name"));
    }
    if micro_route::is_reserved(&service.name) {
        let detail = format!(
            "the name `{}` belongs to a service of the platform; choose another one",
            service.name
        );
        return Err(Error::conflict(id, detail));
    }
    let ttl = u64::try_from(options.ttl).map_err(|_| {
        let detail = format!(
            "ttl is {} seconds; give the seconds that the nodes are kept for, or 0 for good",
            options.ttl
        );
        Error::bad_request(id, detail)
    })?;
    let ttl = (ttl > 0).then(|| Duration::from_secs(ttl));
    Ok((record::to_module(service, domain), ttl))
}

impl RegistryService {
    /// Whether there is room for a record. Who renews one is not asked how many there are.
    async fn check_room(&self, id: &str, call: &Call, service: &Service) -> Result<(), Error> {
        let list = async |name: Option<String>| {
            let filter = Filter {
                domain: Some(service.domain.clone()),
                name,
            };
            let listed = self.modules.registry().list(call, &filter).await;
            listed.map_err(|failed| error::from_module(id, &failed))
        };
        let known = list(Some(service.name.clone())).await?;
        let room = match limits::room(&known, service) {
            Some(room) => room,
            None if list(None).await?.len() < limits::MAX_RECORDS => Ok(()),
            None => Err(format!(
                "the domain has {} records, which is the most",
                limits::MAX_RECORDS
            )),
        };
        room.map_err(|detail| Error::bad_request(id, detail))
    }
}

#[tonic::async_trait]
impl Registry for RegistryService {
    type WatchStream = BoxStream<Result<WatchResult, Status>>;

    async fn get_service(
        &self,
        request: Request<GetRequest>,
    ) -> Result<Response<GetResponse>, Status> {
        let id = "registry.Registry.GetService";
        let (caller, call) = (request::caller(&request), request::call(&request));
        let GetRequest { service, options } = request.into_inner();
        if service.is_empty() {
            return Err(Error::bad_request(id, "Missing service name").into());
        }
        let filter = readable(id, &caller, options.as_ref(), Some(service))?;
        let listed = self.modules.registry().list(&call, &filter).await;
        let services = listed.map_err(error::module(id))?;
        if services.is_empty() {
            return Err(Error::not_found(id, "service not found").into());
        }
        let mut services: Vec<_> = services.into_iter().map(record::to_proto).collect();
        limits::fit(&mut services).map_err(|detail| Error::new(id, 413, detail))?;
        Ok(Response::new(GetResponse { services }))
    }

    async fn register(
        &self,
        request: Request<ProtoService>,
    ) -> Result<Response<EmptyResponse>, Status> {
        let id = "registry.Registry.Register";
        let (caller, call) = (request::caller(&request), request::call(&request));
        let service = request.into_inner();
        let checked = limits::check(&service);
        let (service, ttl) = writable(id, &caller, service)?;
        checked
            .and_then(|()| record::check_nodes(&service))
            .map_err(|detail| Error::bad_request(id, detail))?;
        self.check_room(id, &call, &service).await?;
        let registered = self.modules.registry().register(&call, &service, ttl).await;
        registered.map_err(error::module(id))?;
        self.events.publish(EventType::Create, service);
        Ok(Response::new(EmptyResponse {}))
    }

    async fn deregister(
        &self,
        request: Request<ProtoService>,
    ) -> Result<Response<EmptyResponse>, Status> {
        let id = "registry.Registry.Deregister";
        let (caller, call) = (request::caller(&request), request::call(&request));
        let (service, _) = writable(id, &caller, request.into_inner())?;
        let deregistered = self.modules.registry().deregister(&call, &service).await;
        deregistered.map_err(error::module(id))?;
        self.events.publish(EventType::Delete, service);
        Ok(Response::new(EmptyResponse {}))
    }

    async fn list_services(
        &self,
        request: Request<ListRequest>,
    ) -> Result<Response<ListResponse>, Status> {
        let id = "registry.Registry.ListServices";
        let (caller, call) = (request::caller(&request), request::call(&request));
        let options = request.into_inner().options;
        let filter = readable(id, &caller, options.as_ref(), None)?;
        let listed = self.modules.registry().list(&call, &filter).await;
        let services = listed.map_err(error::module(id))?.into_iter();
        let mut services: Vec<_> = services.map(record::to_proto).collect();
        limits::fit(&mut services).map_err(|detail| Error::new(id, 413, detail))?;
        Ok(Response::new(ListResponse { services }))
    }

    async fn watch(
        &self,
        request: Request<WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let id = "registry.Registry.Watch";
        let (caller, call) = (request::caller(&request), request::call(&request));
        let WatchRequest { service, options } = request.into_inner();
        let name = (!service.is_empty()).then_some(service);
        let filter = readable(id, &caller, options.as_ref(), name)?;
        let watched = self.modules.registry().watch(&call, &filter).await;
        let changes = watched.map_err(error::module(id))?;
        Ok(Response::new(watch::results(id, changes)))
    }
}
