//! One HTTP/2 connection to a node: made, kept alive, ended when it idles or breaks.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use h2::{Ping, client, client::SendRequest};
use http::uri::Authority;
use tokio::{
    net::TcpStream,
    time::{MissedTickBehavior, interval, timeout},
};

/// How long a node may take to accept a connection.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a connection is looked after: a ping that was not answered until then ends it.
const CARE_INTERVAL: Duration = Duration::from_secs(10);

/// For how many intervals a connection without calls is kept.
const IDLE_INTERVALS: u32 = 6;

/// What a node may send ahead on one stream while nobody reads, in bytes: the memory that a slow
/// reader costs here.
const STREAM_WINDOW: u32 = 512 * 1024;

/// What a node may send ahead on all streams of a connection, in bytes. Far more than a stream's,
/// so that slow readers of some streams do not stop the others.
const CONNECTION_WINDOW: u32 = 256 * 1024 * 1024;

/// The largest metadata of a response, in bytes.
const HEADER_LIST: u32 = 64 * 1024;

/// The calls that a connection can carry are counted by this.
#[derive(Clone, Debug, Default)]
pub(crate) struct Load(Arc<AtomicUsize>);

impl Load {
    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn hold(&self) -> Held {
        self.0.fetch_add(1, Ordering::Relaxed);
        Held(self.clone())
    }
}

/// One call on a connection, counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Held(Load);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection that is being driven by whoever made it.
pub(crate) struct Driven {
    connection: client::Connection<TcpStream, Bytes>,
    load: Load,
}

/// Connects to a node, by HTTP/2 without asking first (h2c with prior knowledge).
pub(crate) async fn dial(authority: &Authority) -> io::Result<(SendRequest<Bytes>, Load, Driven)> {
    let address = authority.as_str();
    let socket = timeout(DIAL_TIMEOUT, TcpStream::connect(address))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    socket.set_nodelay(true)?;
    let (send, connection) = client::Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(HEADER_LIST)
        .enable_push(false)
        .handshake(socket)
        .await
        .map_err(|error| {
            error
                .into_io()
                .unwrap_or_else(|| io::ErrorKind::ConnectionReset.into())
        })?;
    let load = Load::default();
    let driven = Driven {
        connection,
        load: load.clone(),
    };
    Ok((send, load, driven))
}

impl Driven {
    /// Moves the connection's bytes until it is over, or has idled for so long that it should be
    /// let go of.
    pub(crate) async fn run(mut self, address: &str) -> Outcome {
        let mut pings = self.connection.ping_pong();
        let mut care = interval(CARE_INTERVAL);
        care.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut awaiting_pong = false;
        let mut idle = 0;
        loop {
            tokio::select! {
                biased;
                ended = &mut self.connection => {
                    if let Err(error) = ended {
                        tracing::debug!(address, "connection to a node ended: {error}");
                    }
                    return Outcome::Ended;
                }
                _ = pong(pings.as_mut()), if awaiting_pong => awaiting_pong = false,
                _ = care.tick() => {
                    if awaiting_pong {
                        tracing::warn!(address, "a node no longer answers on its connection");
                        return Outcome::Ended;
                    }
                    idle = if self.load.get() == 0 { idle + 1 } else { 0 };
                    if idle > IDLE_INTERVALS {
                        return Outcome::Idle(Box::new(self));
                    }
                    if self.load.get() > 0 && let Some(pings) = &mut pings {
                        awaiting_pong = pings.send_ping(Ping::opaque()).is_ok();
                    }
                }
            }
        }
    }

    /// Moves the connection's bytes until the last call on it is over.
    pub(crate) async fn finish(self) {
        // What goes wrong now, the calls are told.
        let _ = self.connection.await;
    }
}

/// Why [`Driven::run`] came back.
pub(crate) enum Outcome {
    /// The connection is over.
    Ended,
    /// Nobody has used it for a minute.
    Idle(Box<Driven>),
}

async fn pong(pings: Option<&mut h2::PingPong>) {
    match pings {
        // An error ends the connection too, which is seen there.
        Some(pings) => drop(std::future::poll_fn(|cx| pings.poll_pong(cx)).await),
        None => std::future::pending().await,
    }
}
