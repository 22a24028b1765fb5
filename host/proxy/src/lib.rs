//! The gRPC doors: calls pass through undecoded, with reflection and health of everything callable.

mod answer;
mod health;
mod reflection;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::Request;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{rt::TokioIo, server::graceful::Watcher};
use micro_route::{
    Dispatcher,
    door::{self, Opening},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use answer::Answers;

/// How long calls in flight may take to finish after shutdown, unless said otherwise.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// A gRPC door on one thread. Cheap to clone; clones share their connections to nodes.
#[derive(Clone)]
pub struct Proxy {
    answers: Arc<Answers>,
    grace: Duration,
}

impl Proxy {
    /// A door whose calls go through `dispatcher`. Every thread has one of each.
    pub fn new(dispatcher: Arc<Dispatcher>) -> Self {
        Self {
            answers: Arc::new(Answers::new(dispatcher)),
            grace: DEFAULT_GRACE,
        }
    }

    /// The same, with this long for calls in flight to finish after shutdown.
    #[must_use]
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Serves the connections of `listener` on the current runtime until `shutdown`, then lets
    /// the calls in flight finish within the grace period.
    ///
    /// Called once on each thread, with a current-thread runtime and a listener of its own,
    /// nothing of a call leaves its thread.
    pub async fn serve(&self, listener: TcpListener, shutdown: CancellationToken) {
        door::serve(listener, shutdown, self.grace, |socket, peer, watcher| {
            connection(self.answers.clone(), socket, peer, watcher)
        })
        .await;
    }
}

async fn connection(answers: Arc<Answers>, socket: TcpStream, peer: SocketAddr, watcher: Watcher) {
    let ended = match door::sniff(socket).await {
        Some(Opening::Http2(io)) => {
            let share = answers.share();
            let service = service_fn(move |mut request: Request<Incoming>| {
                let answers = answers.clone();
                request.extensions_mut().insert(share.clone());
                request.extensions_mut().insert(door::Source(peer.ip()));
                async move { Ok::<_, std::convert::Infallible>(answers.answer(request).await) }
            });
            let connection = door::http2().serve_connection(TokioIo::new(io), service);
            watcher.watch(connection).await
        }
        Some(Opening::Http1(io)) => {
            let service =
                service_fn(|_| async { Ok::<_, std::convert::Infallible>(answer::not_here()) });
            let connection = door::http1().serve_connection(TokioIo::new(io), service);
            watcher.watch(connection).await
        }
        None => return,
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, "connection ended: {error}");
    }
}
