//! Connections: accepted, served over HTTP/2, and drained.

use std::{convert::Infallible, future::Future, io, sync::Arc, time::Duration};

use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::net::TcpListener;
use tonic::transport::server::TcpConnectInfo;

use super::{
    guard::Guard,
    standard::{Problem, Standard},
};
use crate::wire::Handlers;

/// How long calls in flight may take to end when the service stops.
const GRACE: Duration = Duration::from_secs(10);
/// Calls at once over one connection. The proxies of the platform share theirs among all callers.
const STREAMS: u32 = 4096;

/// Everything that a service answers.
#[derive(Clone)]
pub(super) struct App {
    guard: Arc<Guard>,
    standard: Standard,
}

impl App {
    pub(super) fn new(
        name: &str,
        handlers: Handlers,
        descriptors: &[Vec<u8>],
    ) -> Result<Self, Problem> {
        let guard = Guard::new(name.to_owned());
        let (standard, handlers) = Standard::add_to(handlers, descriptors, guard.stats())?;
        Ok(Self {
            guard: Arc::new(guard.over(handlers)),
            standard,
        })
    }

    /// Tells those who ask for its health to go elsewhere.
    pub(super) async fn not_serving(&self) {
        self.standard.not_serving().await;
    }
}

/// Serves until `stop` is done, then lets the calls in flight end.
pub(super) async fn serve(
    listener: TcpListener,
    app: App,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    app.standard.serving().await;
    let graceful = GracefulShutdown::new();
    tokio::pin!(stop);
    loop {
        let (stream, remote) = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) if of_one_connection(&error) => continue,
                // Out of descriptors, most likely: others may close theirs.
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        // A small answer must not wait for the acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        let info = TcpConnectInfo {
            local_addr: stream.local_addr().ok(),
            remote_addr: Some(remote),
        };
        let guard = app.guard.clone();
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            let guard = guard.clone();
            request.extensions_mut().insert(info.clone());
            async move { Ok::<_, Infallible>(guard.answer(request).await) }
        });
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .adaptive_window(true)
            .max_concurrent_streams(STREAMS)
            .keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(10))
            .serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, %remote, "a connection ended badly");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(GRACE, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("calls were still in flight after {GRACE:?} and are cut off");
    }
    Ok(())
}

fn of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}
