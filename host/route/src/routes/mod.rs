//! The registry as the doors see it: a snapshot that is read without a lock and kept up to date by
//! a watch in the background.

mod node;
mod snapshot;
mod watch;

pub(crate) use node::InFlight;
pub use node::{Node, is_address};
pub use snapshot::Route;

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use micro_plugin_api::RegistryHandle;
use tokio::{
    sync::{mpsc, oneshot, watch as state},
    task::JoinHandle,
    time::timeout,
};

use snapshot::Snapshot;

/// How long a lookup that misses waits for the shared refresh.
pub const REFRESH_TIMEOUT: Duration = Duration::from_secs(3);

/// Why a service has no route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRoute {
    /// The registry was asked, and does not know it.
    #[error("route not found")]
    Unknown,
    /// The registry could not be asked.
    #[error("route not found, and the registry could not be asked for it: {0}")]
    Registry(String),
}

/// A lookup that missed, to be answered by the next refresh.
pub(crate) struct Miss {
    domain: Box<str>,
    service: Box<str>,
    answer: oneshot::Sender<Result<Arc<Route>, NoRoute>>,
}

pub(crate) struct Shared {
    snapshot: ArcSwap<Snapshot>,
    changes: state::Sender<u64>,
}

impl Shared {
    fn publish(&self, snapshot: Snapshot) {
        self.snapshot.store(Arc::new(snapshot));
        self.changes.send_modify(|count| *count += 1);
    }
}

/// Which services can be called and where they run, shared by every thread of the doors.
///
/// While the registry is dead, what it said last stays.
pub struct Routes {
    shared: Arc<Shared>,
    misses: mpsc::UnboundedSender<Miss>,
    task: JoinHandle<()>,
}

impl Routes {
    /// Follows the registry that `registry` gives from now on, in a task on the current tokio
    /// runtime, until this is dropped. The registry is asked for anew whenever the watch has to be
    /// started again.
    pub fn start(registry: impl Fn() -> RegistryHandle + Send + Sync + 'static) -> Arc<Self> {
        let shared = Arc::new(Shared {
            snapshot: ArcSwap::from_pointee(Snapshot::default()),
            changes: state::Sender::new(0),
        });
        let (misses, missed) = mpsc::unbounded_channel();
        let task = tokio::spawn(watch::run(shared.clone(), Box::new(registry), missed));
        Arc::new(Self {
            shared,
            misses,
            task,
        })
    }

    /// The route of a service in a domain, if the snapshot has it. Takes no lock and waits for
    /// nothing.
    pub fn get(&self, domain: &str, service: &str) -> Option<Arc<Route>> {
        self.shared.snapshot.load().get(domain, service).cloned()
    }

    /// The route of a service in a domain. If the snapshot does not have it, this waits for one
    /// refresh, which all that wait share, up to [`REFRESH_TIMEOUT`].
    ///
    /// # Errors
    /// The registry does not know the service, or could not be asked in time.
    pub async fn find(&self, domain: &str, service: &str) -> Result<Arc<Route>, NoRoute> {
        if let Some(route) = self.get(domain, service) {
            return Ok(route);
        }
        let (answer, answered) = oneshot::channel();
        let miss = Miss {
            domain: domain.into(),
            service: service.into(),
            answer,
        };
        if self.misses.send(miss).is_err() {
            return Err(NoRoute::Registry("the server is shutting down".into()));
        }
        match timeout(REFRESH_TIMEOUT, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(NoRoute::Registry("the server is shutting down".into())),
            Err(_) => Err(NoRoute::Registry(format!(
                "it did not answer within {} s",
                REFRESH_TIMEOUT.as_secs()
            ))),
        }
    }

    /// The services of a domain by name, in the order of their names.
    pub fn services(&self, domain: &str) -> Vec<(Box<str>, Arc<Route>)> {
        self.shared.snapshot.load().domain(domain)
    }

    /// Counts the changes of the snapshot, for those who wait for one.
    pub fn changes(&self) -> state::Receiver<u64> {
        self.shared.changes.subscribe()
    }
}

impl Drop for Routes {
    fn drop(&mut self) {
        self.task.abort();
    }
}
