//! What the door does with one request: passes it on, or answers it itself.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use micro_route::{Body, Dispatcher, Gather, Share};
use micro_wire::{Error, path::MethodPath};
use tonic_health::pb::health_server::HealthServer;
use tonic_reflection::pb::{
    v1::server_reflection_server::ServerReflectionServer,
    v1alpha::server_reflection_server::ServerReflectionServer as AlphaServer,
};
use tower::Service;

use crate::{
    health::Health,
    reflection::{Catalog, Reflection},
};

/// The id of errors that the door itself makes.
const ID: &str = "go.micro.proxy";

/// The body of an answer: of a call that was passed on, or of a service of the door's own.
pub(crate) type Answer = Response<Either<Body, tonic::body::Body>>;

/// Answers every request of a door.
pub(crate) struct Answers {
    dispatcher: Arc<Dispatcher>,
    health: HealthServer<Health>,
    reflection: ServerReflectionServer<Reflection>,
    alpha: AlphaServer<Reflection>,
}

impl Answers {
    pub(crate) fn new(dispatcher: Arc<Dispatcher>) -> Self {
        let reflection = Reflection::new(Arc::new(Catalog::new(dispatcher.clone())));
        Self {
            health: HealthServer::new(Health::new(dispatcher.clone())),
            reflection: ServerReflectionServer::new(reflection.clone()),
            alpha: AlphaServer::new(reflection),
            dispatcher,
        }
    }

    /// What a connection may have in incomplete requests.
    pub(crate) fn share(&self) -> Share {
        self.dispatcher.budget().connection()
    }

    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Answer {
        if !is_grpc(&request) {
            return unsupported();
        }
        match MethodPath::parse(request.uri().path()) {
            Ok(path) if path.service.starts_with("grpc.") => self.own(request).await,
            Ok(path) if path.service.is_empty() => {
                let error = Error::bad_request(ID, "service name is blank");
                error.grpc_response().map(Either::Left)
            }
            // A path that is none gets its error there.
            _ => self.dispatcher.call(request).await.map(Either::Left),
        }
    }

    /// Answers calls of the services that every gRPC server has.
    async fn own(&self, mut request: Request<Incoming>) -> Answer {
        let answer = match request.uri().path() {
            // Whoever watches over this server need not have an account.
            path if path.starts_with("/grpc.health.v1.Health/") => {
                self.health.clone().call(self.gathered(request)).await
            }
            path if path.starts_with("/grpc.reflection.v1.ServerReflection/") => {
                if let Err(error) = self.admit(&mut request).await {
                    return error.grpc_response().map(Either::Left);
                }
                self.reflection.clone().call(self.gathered(request)).await
            }
            path if path.starts_with("/grpc.reflection.v1alpha.ServerReflection/") => {
                if let Err(error) = self.admit(&mut request).await {
                    return error.grpc_response().map(Either::Left);
                }
                self.alpha.clone().call(self.gathered(request)).await
            }
            _ => return self.dispatcher.call(request).await.map(Either::Left),
        };
        match answer {
            Ok(response) => response.map(Either::Right),
            Err(never) => match never {},
        }
    }

    /// The request with its messages held back until they are whole.
    fn gathered(&self, mut request: Request<Incoming>) -> Request<Gather<Incoming>> {
        let share = request.extensions_mut().remove::<Share>();
        let share = share.unwrap_or_else(|| self.share());
        request.map(|body| Gather::new(body, &share))
    }

    async fn admit(&self, request: &mut Request<Incoming>) -> Result<(), Error> {
        let path = request.uri().clone();
        let path = MethodPath::parse(path.path())?;
        let caller = self.dispatcher.admit(request.headers_mut(), &path).await?;
        request.extensions_mut().insert(caller);
        Ok(())
    }
}

fn is_grpc(request: &Request<Incoming>) -> bool {
    request.method() == http::Method::POST
        && request
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// What a request is told that is HTTP/2 but no gRPC, with the status that gRPC asks for.
fn unsupported() -> Answer {
    let error = Error::new(
        ID,
        415,
        "this address takes gRPC: POST with content type application/grpc; for HTTP and JSON use the gateway",
    );
    let (parts, body) = plain(&error).into_parts();
    Response::from_parts(parts, Either::Right(tonic::body::Body::new(body)))
}

/// What an HTTP/1 request is told.
pub(crate) fn not_here() -> Response<Full<Bytes>> {
    plain(&Error::new(
        ID,
        StatusCode::UPGRADE_REQUIRED.as_u16().into(),
        "this address takes gRPC over HTTP/2; for HTTP/1 and JSON use the gateway",
    ))
}

fn plain(error: &Error) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(error.to_http_json()));
    *response.status_mut() = error.http_status();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/json"),
    );
    if error.http_status() == StatusCode::UPGRADE_REQUIRED {
        headers.insert(header::UPGRADE, header::HeaderValue::from_static("h2c"));
    }
    response
}
