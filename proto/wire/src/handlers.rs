//! Some gRPC services behind one door: a call finds its handler by the last segment of the path's service part.

use std::{collections::HashMap, convert::Infallible, fmt, future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;
use http::{Request, Response, Uri, uri::PathAndQuery};
use http_body::Body;
use micro_proto::registry::Endpoint;
use prost_reflect::{DescriptorPool, MethodDescriptor, ServiceDescriptor};
use tonic::{Status, body::Body as TonicBody, server::NamedService};
use tower_service::Service;

use crate::{
    json::{MethodsError, call_in_its_language},
    path::MethodPath,
    schema,
};

type Answer = Pin<Box<dyn Future<Output = Response<TonicBody>> + Send>>;
type Call = Arc<dyn Fn(Request<TonicBody>) -> Answer + Send + Sync>;

/// Tonic services that answer calls to `/anything.Handler/Method`, in protobuf and in JSON.
///
/// The registry name that a service runs under is free (`--name foo`), its proto package is not: so
/// `/foo.Helloworld/Call` and `/Helloworld/Call` both reach `helloworld.Helloworld`. An unknown
/// handler or method is UNIMPLEMENTED (`unknown service Foo`, `unknown service Foo.Bar`), a path of
/// another form INVALID_ARGUMENT. Cheap to clone.
#[derive(Clone, Default)]
pub struct Handlers {
    table: Arc<Table>,
}

#[derive(Clone, Default)]
struct Table {
    handlers: HashMap<String, Handler>,
    /// By full name only: standard services whose last segments are not ours to give away.
    standard: HashMap<String, Call>,
    /// In the order in which they were added.
    order: Vec<ServiceDescriptor>,
}

#[derive(Clone)]
struct Handler {
    service: ServiceDescriptor,
    methods: HashMap<String, Method>,
    call: Call,
}

#[derive(Clone)]
struct Method {
    path: PathAndQuery,
    descriptor: MethodDescriptor,
}

impl Handlers {
    /// No handlers yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a generated tonic server, whose descriptor is in `pool`. Set its own message limits
    /// before ([`crate::frame::MAX_MESSAGE`]).
    ///
    /// # Errors
    /// The pool does not know the service, or another handler has the same last segment.
    pub fn add<S>(mut self, service: S, pool: &DescriptorPool) -> Result<Self, MethodsError>
    where
        S: Service<Request<TonicBody>, Response = Response<TonicBody>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        let descriptor = pool
            .get_service_by_name(S::NAME)
            .ok_or_else(|| MethodsError::Unknown(S::NAME.to_owned()))?;
        let table = Arc::make_mut(&mut self.table);
        if let Some(first) = table.handlers.get(descriptor.name()) {
            return Err(MethodsError::Clash {
                handler: descriptor.name().to_owned(),
                first: first.service.full_name().to_owned(),
                second: descriptor.full_name().to_owned(),
            });
        }
        let methods = descriptor
            .methods()
            .filter_map(|method| {
                let path = format!("/{}/{}", descriptor.full_name(), method.name());
                let path = PathAndQuery::try_from(path).ok()?;
                Some((
                    method.name().to_owned(),
                    Method {
                        path,
                        descriptor: method,
                    },
                ))
            })
            .collect();
        let handler = Handler {
            service: descriptor.clone(),
            methods,
            call: erase(service),
        };
        table.handlers.insert(descriptor.name().to_owned(), handler);
        table.order.push(descriptor);
        Ok(self)
    }

    /// Adds a service that is called by its full name alone, in protobuf alone, and is no endpoint of
    /// ours: reflection, `grpc.health.v1`.
    #[must_use]
    pub fn add_standard<S>(mut self, service: S) -> Self
    where
        S: Service<Request<TonicBody>, Response = Response<TonicBody>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        Arc::make_mut(&mut self.table)
            .standard
            .insert(S::NAME.to_owned(), erase(service));
        self
    }

    /// What the registry is told: every endpoint of the added services, in their order.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Endpoint> {
        self.table
            .order
            .iter()
            .flat_map(schema::endpoints)
            .collect()
    }

    /// The descriptors of the added services, in their order.
    #[must_use]
    pub fn services(&self) -> &[ServiceDescriptor] {
        &self.table.order
    }

    /// Whether a handler has this last segment.
    #[must_use]
    pub fn has(&self, handler: &str) -> bool {
        self.table.handlers.contains_key(handler)
    }

    /// Answers a call.
    pub async fn answer<B>(&self, mut request: Request<B>) -> Response<TonicBody>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<tonic::codegen::StdError>,
    {
        let (handler, method) = match self.resolve(request.uri().path()) {
            Ok(Target::Handler(handler, method)) => (handler, method),
            Ok(Target::Standard(call)) => return call(request.map(TonicBody::new)).await,
            Err(status) => return status.into_http(),
        };
        if request.uri().path() != method.path.path() {
            *request.uri_mut() = readdressed(request.uri(), &method.path);
        }
        call_in_its_language(request.map(TonicBody::new), &method.descriptor, |r| {
            (handler.call)(r)
        })
        .await
    }

    fn resolve(&self, path: &str) -> Result<Target<'_>, Status> {
        let parsed = MethodPath::parse(path)?;
        if let Some(call) = path[1..]
            .split_once('/')
            .and_then(|(service, _)| self.table.standard.get(service))
        {
            return Ok(Target::Standard(call));
        }
        let Some(handler) = self.table.handlers.get(parsed.handler) else {
            return Err(Status::unimplemented(format!(
                "unknown service {}",
                parsed.handler
            )));
        };
        let Some(method) = handler.methods.get(parsed.method) else {
            return Err(Status::unimplemented(format!(
                "unknown service {}",
                parsed.endpoint()
            )));
        };
        Ok(Target::Handler(handler, method))
    }
}

enum Target<'a> {
    Handler(&'a Handler, &'a Method),
    Standard(&'a Call),
}

fn readdressed(uri: &Uri, path: &PathAndQuery) -> Uri {
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path.clone());
    Uri::from_parts(parts).unwrap_or_else(|_| Uri::from(path.clone()))
}

fn erase<S>(service: S) -> Call
where
    S: Service<Request<TonicBody>, Response = Response<TonicBody>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
{
    Arc::new(move |request| {
        // Generated servers are always ready, and cheap to clone.
        let answer = service.clone().call(request);
        Box::pin(async move {
            match answer.await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        })
    })
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.table.order.iter().map(ServiceDescriptor::full_name))
            .finish()
    }
}
