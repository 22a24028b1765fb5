//! The HTTP/JSON door: paths, queries and bodies in, calls through, JSON out.

mod answer;
mod body;
mod headers;
mod origin;
mod path;
mod payload;
mod ready;
mod reply;
mod streams;

pub use ready::{Readiness, Unready};

use std::{collections::BTreeSet, convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use hyper::service::service_fn;
use hyper_util::{rt::TokioIo, server::graceful::Watcher};
use micro_route::{
    Dispatcher,
    door::{self, Opening},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use answer::Answers;

/// The id of errors that the gateway itself makes.
const ID: &str = "go.micro.api";

/// How the gateway behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Origins (`https://app.example`) whose pages may call with the credentials of their user.
    /// Pages of other origins may call too, but without. Default: none.
    pub trusted_origins: BTreeSet<String>,
    /// How long a call may take. Default: 10 s.
    pub call_timeout: Duration,
    /// How long requests in flight may take to finish after shutdown. Default: 10 s.
    pub grace: Duration,
    /// The address of the gRPC door, to which those are sent who ask for a stream. Default: none
    /// is named.
    pub grpc_address: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            trusted_origins: BTreeSet::new(),
            call_timeout: Duration::from_secs(10),
            grace: Duration::from_secs(10),
            grpc_address: None,
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
        door::serve(listener, shutdown, grace, |socket, peer, watcher| {
            connection(self.answers.clone(), local, socket, peer, watcher)
        })
        .await;
    }
}

async fn connection(
    answers: Arc<Answers>,
    local: bool,
    socket: TcpStream,
    peer: SocketAddr,
    watcher: Watcher,
) {
    let Some(opening) = door::sniff(socket).await else {
        return;
    };
    let service = service_fn(move |request| {
        let answers = answers.clone();
        async move { Ok::<_, Infallible>(answers.answer(local, request).await) }
    });
    let ended = match opening {
        Opening::Http2(io) => {
            watcher
                .watch(door::http2().serve_connection(TokioIo::new(io), service))
                .await
        }
        Opening::Http1(io) => {
            watcher
                .watch(door::http1().serve_connection(TokioIo::new(io), service))
                .await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, "connection ended: {error}");
    }
}
