//! Services that this process knows of: the whole of a registry, or the copy that one keeps of a backend.

mod services;
mod timer;
mod watchers;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use tokio::sync::Notify;

use self::{services::Services, timer::Timer, watchers::Watchers};
use super::{Change, Filter, Service};
use crate::{BoxStream, Error, Result};

/// Services with nodes that expire, and everybody who watches them: what an implementation of
/// [`Registry`](super::Registry) answers from when all that is registered passes through it.
///
/// Nodes whose time has come are removed before any call looks, and by one task, so that watchers
/// hear of it when nobody calls. Nobody waits for a watcher: one that more than 1,024 changes wait
/// for is told to watch again.
#[derive(Debug)]
pub struct Catalog {
    shared: Arc<Shared>,
    _timer: Timer,
}

/// What the catalog and its timer share.
#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Told when the first node to expire is another one than before.
    sooner: Notify,
}

#[derive(Debug, Default)]
struct State {
    services: Services,
    watchers: Watchers,
}

impl Shared {
    /// Does something with a state in which nothing has expired, and tells watchers of the changes
    /// that it made.
    fn with<T>(&self, work: impl FnOnce(&mut State, Instant, &mut Vec<Change>) -> T) -> T {
        let mut state = lock(&self.state);
        let before = state.services.next_expiry();
        let (now, mut changes) = (Instant::now(), Vec::new());
        state.services.expire(now, &mut changes);
        let result = work(&mut state, now, &mut changes);
        for change in changes {
            state.watchers.tell(&change);
        }
        let after = state.services.next_expiry();
        drop(state);
        if after.is_some() && after != before {
            self.sooner.notify_one();
        }
        result
    }

    /// Removes what has expired; when that is to be done next.
    fn expire(&self) -> Option<Instant> {
        self.with(|state, _, _| state.services.next_expiry())
    }
}

impl Catalog {
    /// An empty one, with its task on the current tokio runtime.
    ///
    /// # Panics
    /// Outside of a tokio runtime. All code of a plugin runs within one.
    pub fn new() -> Self {
        let shared = Arc::<Shared>::default();
        let timer = Timer::start(&shared);
        Self {
            shared,
            _timer: timer,
        }
    }

    /// See [`Registry::register`](super::Registry::register).
    ///
    /// # Errors
    /// `invalid` for a service without a node.
    pub fn register(&self, service: &Service, ttl: Option<Duration>) -> Result<()> {
        if service.nodes.is_empty() {
            return Err(Error::invalid(format!(
                "service {:?} was registered without a node; a service is there as long as its nodes are",
                service.name
            )));
        }
        self.shared.with(|state, now, changes| {
            // A ttl beyond what the clock can hold is for good.
            let until = ttl.and_then(|ttl| now.checked_add(ttl));
            state.services.register(service, until, changes);
        });
        Ok(())
    }

    /// See [`Registry::deregister`](super::Registry::deregister).
    pub fn deregister(&self, service: &Service) {
        self.shared
            .with(|state, _, changes| state.services.deregister(service, changes));
    }

    /// See [`Registry::list`](super::Registry::list).
    pub fn list(&self, filter: &Filter) -> Vec<Service> {
        self.shared.with(|state, _, _| state.services.list(filter))
    }

    /// See [`Registry::watch`](super::Registry::watch).
    pub fn watch(&self, filter: &Filter) -> BoxStream<Result<Change>> {
        let watch = self.shared.with(|state, _, changes| {
            // What has just expired is not news to a watcher that never heard of it.
            for change in changes.drain(..) {
                state.watchers.tell(&change);
            }
            let present = state.services.list(filter);
            state.watchers.add(filter.clone(), present)
        });
        watch.boxed()
    }
}

impl Default for Catalog {
    fn default() -> Self {
        Self::new()
    }
}

/// A panic while it was held leaves nothing half done that the next one would stumble over.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
