//! The connections to nodes: a small pool for each address, of each thread its own.

mod connection;
mod exchange;
mod replay;
mod upload;

pub use connection::DIAL_TIMEOUT;
pub(crate) use exchange::{Exchange, Failure, NodeBody};
pub(crate) use replay::Replay;

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use h2::client::SendRequest;

use crate::routes::Node;
use connection::{Held, Load, Outcome, dial};

/// The most connections of one thread to one address.
const MOST: usize = 4;

/// Calls on every connection to an address from which on another connection is made.
const CROWDED: usize = 32;

type Dialing = Shared<BoxFuture<'static, Result<(), Arc<io::Error>>>>;
type Pools = Mutex<HashMap<Arc<str>, Pool>>;

#[derive(Default)]
struct Pool {
    connections: Vec<Connection>,
    dialing: Option<Dialing>,
}

struct Connection {
    send: SendRequest<Bytes>,
    load: Load,
    number: u64,
}

/// Connections to nodes, kept for the next call. Each thread of a door has one of these, so that
/// no call waits for another thread.
#[derive(Default)]
pub(crate) struct Upstreams {
    pools: Arc<Pools>,
}

/// A connection, for one call.
pub(crate) struct Lease {
    pub(crate) send: SendRequest<Bytes>,
    pub(crate) held: Held,
    /// Tells the connection from the others, to [`Upstreams::discard`].
    pub(crate) number: u64,
}

impl Upstreams {
    /// A connection to the node; the one with the fewest calls, or a new one.
    ///
    /// # Errors
    /// No connection can be made.
    pub(crate) async fn lease(&self, node: &Node) -> Result<Lease, Arc<io::Error>> {
        loop {
            let dialing = match self.take(node) {
                Ok(lease) => return Ok(lease),
                Err(dialing) => dialing,
            };
            dialing.await?;
        }
    }

    /// Notes that a connection takes no more calls.
    pub(crate) fn discard(&self, node: &Node, number: u64) {
        let mut pools = lock(&self.pools);
        if let Some(pool) = pools.get_mut(node.address()) {
            pool.connections
                .retain(|connection| connection.number != number);
        }
    }

    fn take(&self, node: &Node) -> Result<Lease, Dialing> {
        let mut pools = lock(&self.pools);
        if !pools.contains_key(node.address()) {
            pools.insert(node.address().into(), Pool::default());
        }
        let pool = pools
            .get_mut(node.address())
            .expect("the pool was just made sure of");
        let best = pool
            .connections
            .iter()
            .min_by_key(|connection| connection.load.get());
        let lease = best.map(|connection| Lease {
            send: connection.send.clone(),
            held: connection.load.hold(),
            number: connection.number,
        });
        let crowded = best.is_none_or(|connection| {
            let most = connection.send.current_max_send_streams().min(CROWDED);
            connection.load.get() > most && pool.connections.len() < MOST
        });
        if crowded && pool.dialing.is_none() {
            pool.dialing = Some(self.dial(node));
        }
        match (lease, &pool.dialing) {
            (Some(lease), _) => Ok(lease),
            (None, Some(dialing)) => Err(dialing.clone()),
            (None, None) => unreachable!("without a connection one is being made"),
        }
    }

    /// Makes a connection in a task of its own: whoever waits for it may stop waiting.
    fn dial(&self, node: &Node) -> Dialing {
        let pools = Arc::downgrade(&self.pools);
        let authority = node.authority().clone();
        let (done, wait) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let address = authority.as_str();
            let dialed = dial(&authority).await;
            let Some(pools) = pools.upgrade() else { return };
            let (driven, number) = {
                let mut all = lock(&pools);
                let Some(pool) = all.get_mut(address) else {
                    return;
                };
                pool.dialing = None;
                match dialed {
                    Ok((send, load, driven)) => {
                        let number = next_number();
                        pool.connections.push(Connection { send, load, number });
                        (driven, number)
                    }
                    Err(error) => {
                        if pool.connections.is_empty() {
                            all.remove(address);
                        }
                        drop(all);
                        let _ = done.send(Err(Arc::new(error)));
                        return;
                    }
                }
            };
            let pools = Arc::downgrade(&pools);
            let _ = done.send(Ok(()));
            let outcome = driven.run(address).await;
            if let Some(pools) = pools.upgrade() {
                remove(&pools, address, number);
            }
            if let Outcome::Idle(driven) = outcome {
                driven.finish().await;
            }
        });
        wait.map(|answer| {
            answer.unwrap_or_else(|_| Err(Arc::new(io::ErrorKind::Interrupted.into())))
        })
        .boxed()
        .shared()
    }
}

fn remove(pools: &Pools, address: &str, number: u64) {
    let mut all = lock(pools);
    if let Some(pool) = all.get_mut(address) {
        pool.connections
            .retain(|connection| connection.number != number);
        if pool.connections.is_empty() && pool.dialing.is_none() {
            all.remove(address);
        }
    }
}

fn next_number() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

fn lock(pools: &Pools) -> MutexGuard<'_, HashMap<Arc<str>, Pool>> {
    // Nothing that runs under this lock leaves the map half changed.
    pools.lock().unwrap_or_else(PoisonError::into_inner)
}
