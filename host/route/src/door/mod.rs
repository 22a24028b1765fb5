//! What every door does with its listener: accept, tell HTTP/2 from HTTP/1, serve, and drain.

mod sniff;

pub use sniff::{Io, Opening, SNIFF_TIMEOUT, sniff};

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use hyper::server::conn::{http1, http2};
use hyper_util::{
    rt::{TokioExecutor, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// The address that a request came from. Doors put it into the extensions of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source(pub IpAddr);

/// The largest head of a request, in bytes.
pub const HEADER_LIMIT: u32 = 64 * 1024;

/// What a client may send ahead on one stream while nobody reads, in bytes.
const STREAM_WINDOW: u32 = 1024 * 1024;

/// What a client may send ahead on all streams of a connection, in bytes.
const CONNECTION_WINDOW: u32 = 32 * 1024 * 1024;

/// The most calls of one connection at a time. A client waits for its turn beyond, and a service
/// keeps a stream for each of its subscriptions: too few would stop it without a word.
const MOST_STREAMS: u32 = 1024;

/// How often an HTTP/2 connection is asked whether it is still there, and how long it may think.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(5));

/// How long an HTTP/1 connection may sit between two requests.
const HTTP1_IDLE: Duration = Duration::from_secs(30);

/// How long to wait when there are no file descriptors left for another connection.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// Serves every connection of a listener with `serve`, each in a task of its own on the current
/// runtime, until `shutdown`. Then what is in flight has `grace` to finish; the rest is cut off.
///
/// The [`Watcher`] that `serve` gets is to watch the hyper connection, which is told through it to
/// finish.
pub async fn serve<F, S>(
    listener: TcpListener,
    shutdown: CancellationToken,
    grace: Duration,
    serve: F,
) where
    F: Fn(TcpStream, SocketAddr, Watcher) -> S,
    S: Future<Output = ()> + Send + 'static,
{
    let graceful = GracefulShutdown::new();
    let cut = CancellationToken::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, peer)) => {
                // A call is often one small packet each way, and must not wait for a second.
                if socket.set_nodelay(true).is_err() {
                    continue;
                }
                let connection = serve(socket, peer, graceful.watcher());
                let cut = cut.clone();
                tokio::spawn(async move { cut.run_until_cancelled(connection).await });
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}");
                sleep(EXHAUSTED_PAUSE).await;
            }
        }
    }
    drop(listener);
    if timeout(grace, graceful.shutdown()).await.is_err() {
        tracing::warn!(
            grace_ms = grace.as_millis(),
            "cutting off calls that have not finished within the grace period"
        );
        cut.cancel();
    }
}

/// Whether a failure to accept says nothing about the next attempt.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// HTTP/2 as the doors speak it.
pub fn http2() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    let (interval, patience) = KEEP_ALIVE;
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(MOST_STREAMS)
        .max_header_list_size(HEADER_LIMIT)
        .keep_alive_interval(interval)
        .keep_alive_timeout(patience)
        // gRPC has no use for it, and it is a header for every answer.
        .auto_date_header(false);
    builder
}

/// HTTP/1 as the doors speak it.
pub fn http1() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HTTP1_IDLE)
        .max_buf_size(HEADER_LIMIT as usize);
    builder
}
