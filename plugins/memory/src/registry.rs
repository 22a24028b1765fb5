//! The registry: services by domain, name and version, whose nodes expire by themselves.

mod services;
mod timer;
mod watchers;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use micro_plugin_api::{
    BoxStream, Call, Error, Registry, Result,
    registry::{Change, Filter, Service},
};
use tokio::sync::Notify;

use self::{services::Services, timer::Timer, watchers::Watchers};
use crate::lock::lock;

/// Services in this process's memory.
///
/// Nodes whose time has come are removed before any call looks, and by one timer, so that
/// watchers hear of it when nobody calls.
#[derive(Debug)]
pub struct MemoryRegistry {
    shared: Arc<Shared>,
    _timer: Timer,
}

/// What the registry and its timer share.
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

impl MemoryRegistry {
    /// An empty registry, with its timer on the current tokio runtime.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new() -> Self {
        let shared = Arc::<Shared>::default();
        let timer = Timer::start(&shared);
        Self {
            shared,
            _timer: timer,
        }
    }
}

impl Default for MemoryRegistry {
    fn default() -> Self {
        Self::new()
    }
}

impl Registry for MemoryRegistry {
    async fn register(&self, _call: &Call, service: &Service, ttl: Option<Duration>) -> Result<()> {
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

    async fn deregister(&self, _call: &Call, service: &Service) -> Result<()> {
        self.shared
            .with(|state, _, changes| state.services.deregister(service, changes));
        Ok(())
    }

    async fn list(&self, _call: &Call, filter: &Filter) -> Result<Vec<Service>> {
        Ok(self.shared.with(|state, _, _| state.services.list(filter)))
    }

    async fn watch(&self, _call: &Call, filter: &Filter) -> Result<BoxStream<Result<Change>>> {
        let watch = self.shared.with(|state, _, changes| {
            // What has just expired is not news to a watcher that never heard of it.
            for change in changes.drain(..) {
                state.watchers.tell(&change);
            }
            let present = state.services.list(filter);
            state.watchers.add(filter.clone(), present)
        });
        Ok(watch.boxed())
    }
}
