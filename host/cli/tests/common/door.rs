//! The door: notes each connection and call, and hands it to the service that it names.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use http::{HeaderMap, Request, Response};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use micro_wire::{Error, handlers::Handlers, path::MethodPath};
use tokio::{net::TcpListener, sync::oneshot};
use tonic::body::Body;

use super::{Arrived, Shared, services};

/// Serves until `stopped`; tells the address first.
pub(super) async fn serve(
    shared: Arc<Shared>,
    tell: std::sync::mpsc::Sender<SocketAddr>,
    mut stopped: oneshot::Receiver<()>,
) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    tell.send(listener.local_addr().unwrap()).unwrap();
    let handlers = services::handlers(&shared);
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => accepted.unwrap(),
            _ = &mut stopped => return,
        };
        shared.seen.lock().unwrap().connections += 1;
        let (shared, handlers) = (Arc::clone(&shared), handlers.clone());
        let service = service_fn(move |request| {
            let (shared, handlers) = (Arc::clone(&shared), handlers.clone());
            async move { Ok::<_, Infallible>(answer(&shared, handlers, request).await) }
        });
        let connection = http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service);
        // A client that has gone is no failure of the test.
        tokio::spawn(async move { drop(connection.await) });
    }
}

async fn answer(shared: &Shared, handlers: Handlers, request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    shared.seen.lock().unwrap().calls.push(Arrived {
        path: path.clone(),
        namespace: text(request.headers(), "micro-namespace").unwrap_or_default(),
        authorization: text(request.headers(), "authorization"),
        content_type: text(request.headers(), "content-type").unwrap_or_default(),
        foobar: text(request.headers(), "foobar"),
    });
    let service = MethodPath::parse(&path).unwrap().service.to_owned();
    if service == "nosuch" {
        let detail = format!("service {service}: route not found");
        return Error::not_found("go.micro.client", detail).grpc_response();
    }
    handlers.answer(request).await
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().unwrap().to_owned())
}
