//! The HTTP/JSON door: paths, queries and bodies in, calls through, JSON out.

mod answer;
mod body;
mod call;
mod headers;
mod origin;
mod path;
mod payload;
mod ready;
mod reply;
mod shape;
mod source;
mod streaming;
mod translate;
mod websocket;

pub use ready::{Readiness, Unready};
pub use websocket::Websockets;

use std::{
    collections::BTreeSet, convert::Infallible, net::SocketAddr, pin::pin, sync::Arc,
    time::Duration,
};

use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::{rt::TokioIo, server::graceful::Watcher};
use micro_route::{
    Dispatcher,
    door::{self, Opening},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use answer::{Answers, Connection};

/// The id of errors that the gateway itself makes.
const ID: &str = "go.micro.api";

/// How the gateway behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Origins (`https://app.example`) whose pages may call with the credentials of their user.
    /// Pages of other origins may call too, but without. Default: none.
    pub trusted_origins: BTreeSet<String>,
    /// How long a call may take that has one answer. Default: 10 s.
    pub call_timeout: Duration,
    /// How long requests in flight may take to finish after shutdown. Default: 10 s.
    pub grace: Duration,
    /// The websockets that may be open at a time, of all doors that have a clone of this.
    /// Default: 10,000.
    pub websockets: Websockets,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            trusted_origins: BTreeSet::new(),
            call_timeout: Duration::from_secs(10),
            grace: Duration::from_secs(10),
            websockets: Websockets::default(),
        }
    }
}

/// An HTTP door on one thread. Cheap to clone; clones share their connections to nodes.
#[derive(Clone)]
pub struct Gateway {
    answers: Arc<Answers>,
}

impl Gateway {
    /// A door whose calls go through `dispatcher`. Every thread has one of each.
    pub fn new(
        dispatcher: Arc<Dispatcher>,
        readiness: Arc<dyn Readiness>,
        settings: Settings,
    ) -> Self {
        Self {
            answers: Arc::new(Answers::new(dispatcher, readiness, settings)),
        }
    }

    /// Serves the connections of `listener`, HTTP/1 and HTTP/2 alike, on the current runtime until
    /// `shutdown`, then lets the requests in flight finish within the grace period.
    ///
    /// Called once on each thread, with a current-thread runtime and a listener of its own,
    /// nothing of a call leaves its thread. A listener on a loopback address answers only requests
    /// that are addressed to this machine by name.
    pub async fn serve(&self, listener: TcpListener, shutdown: CancellationToken) {
        let local = listener
            .local_addr()
            .is_ok_and(|address| address.ip().is_loopback());
        let grace = self.answers.grace();
        let closing = shutdown.clone();
        door::serve(listener, shutdown, grace, |socket, peer, watcher| {
            let connection = self.answers.connection(local, closing.clone());
            serve(self.answers.clone(), connection, socket, peer, watcher)
        })
        .await;
    }
}

async fn serve(
    answers: Arc<Answers>,
    connection: Connection,
    socket: TcpStream,
    peer: SocketAddr,
    watcher: Watcher,
) {
    let Some(opening) = door::sniff(socket).await else {
        return;
    };
    let closing = connection.shutdown().clone();
    let afterwards = connection.afterwards.clone();
    let connection = Arc::new(connection);
    let service = service_fn(move |mut request: Request<Incoming>| {
        let (answers, connection) = (answers.clone(), connection.clone());
        request.extensions_mut().insert(door::Source(peer.ip()));
        async move { Ok::<_, Infallible>(answers.answer(&connection, request).await) }
    });
    let ended = match opening {
        Opening::Http2(io) => {
            watcher
                .watch(door::http2().serve_connection(TokioIo::new(io), service))
                .await
        }
        Opening::Http1(io) => {
            // The door waits as long as there is a watcher, also while this is a websocket.
            let _watcher = watcher;
            let served = door::http1()
                .serve_connection(TokioIo::new(io), service)
                .with_upgrades();
            let mut served = pin!(served);
            let ended = tokio::select! {
                ended = &mut served => ended,
                () = closing.cancelled() => {
                    served.as_mut().graceful_shutdown();
                    served.await
                }
            };
            if let Some(work) = afterwards.take() {
                work.await;
            }
            ended
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, "connection ended: {error}");
    }
}
