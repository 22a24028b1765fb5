//! The live modules of a server, each behind a handle that goes to whatever is live.
//!
//! Whoever needs a module asks [`Modules`] for its handle. Another instance of a plugin can take the
//! place of the one behind it at any time ([`Reloader`]): calls wait for a moment at most, and
//! streams go on from the new instance.

mod absent;
mod blocking;
mod error;
mod gate;
mod health;
mod identity;
mod instances;
mod live;
mod moving;
mod open;
mod reload;
mod reloader;
mod shutdown;
mod slot;
mod slots;
mod swappable;
mod told;
mod trust;

pub use error::OpenError;
pub use health::ModuleHealth;
pub use micro_profile::Module;
pub use open::Places;
pub use reload::{Progress, ReloadOptions, SwapError, Swapped};
pub use reloader::{ModuleStatus, ProfileStatus, Reloader};

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use micro_plugin_api::{
    BlobHandle, BrokerHandle, RegistryHandle, RuntimeHandle, StoreHandle, StreamHandle,
};

use crate::{
    health::Checks,
    instances::{Instances, Opener},
    live::Live,
    reload::Retiring,
    shutdown::Closers,
    slots::Slots,
};

/// The store database of the platform's own records (accounts, rules, keys, what runs). No
/// namespace can have this name, so no user reaches it through a core service.
pub const PLATFORM_DATABASE: &str = "$platform";

/// The modules that a server stands on. Shared by everything in it.
pub struct Modules {
    slots: Slots,
    checks: Checks,
    /// What was opened here.
    instances: Instances,
    retiring: Retiring,
    /// What was handed in.
    closers: Closers,
    /// What opened them, if anything did.
    opener: Option<Arc<Opener>>,
}

impl Modules {
    fn new(
        slots: Slots,
        instances: Instances,
        closers: Closers,
        opener: Option<Arc<Opener>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            slots,
            checks: Checks::default(),
            instances,
            retiring: Retiring::default(),
            closers,
            opener,
        })
    }

    /// The modules of these handles; their plugins are called `built-in`.
    pub fn from_handles(
        store: StoreHandle,
        blob: BlobHandle,
        stream: StreamHandle,
        broker: BrokerHandle,
        registry: RegistryHandle,
        runtime: RuntimeHandle,
    ) -> Arc<Self> {
        const PLUGIN: &str = "built-in";
        let closers = Closers::default();
        closers.push(Module::Store, store.clone());
        closers.push(Module::Blob, blob.clone());
        closers.push(Module::Stream, stream.clone());
        closers.push(Module::Broker, broker.clone());
        closers.push(Module::Registry, registry.clone());
        closers.push(Module::Runtime, runtime.clone());
        let slots = Slots::new(
            Live::new(PLUGIN, None, store),
            Live::new(PLUGIN, None, blob),
            Live::new(PLUGIN, None, stream),
            Live::new(PLUGIN, None, broker),
            Live::new(PLUGIN, None, registry),
            Live::new(PLUGIN, None, runtime),
        );
        Self::new(slots, Instances::default(), closers, None)
    }

    /// The store.
    pub fn store(&self) -> StoreHandle {
        self.slots.handles.store.clone()
    }

    /// The blob store.
    pub fn blob(&self) -> BlobHandle {
        self.slots.handles.blob.clone()
    }

    /// The stream. Where the profile has none, each of its calls fails with `unsupported` and names
    /// the slot.
    pub fn stream(&self) -> StreamHandle {
        self.slots.handles.stream.clone()
    }

    /// The broker. Where the profile has none, each of its calls fails with `unsupported` and names
    /// the slot.
    pub fn broker(&self) -> BrokerHandle {
        self.slots.handles.broker.clone()
    }

    /// The registry.
    pub fn registry(&self) -> RegistryHandle {
        self.slots.handles.registry.clone()
    }

    /// The runtime.
    pub fn runtime(&self) -> RuntimeHandle {
        self.slots.handles.runtime.clone()
    }

    /// Closes what was opened, the last first, each within five seconds (a runtime, which ends
    /// the services that it runs, within fifteen). What fails to close is
    /// logged: there is nobody left who could do better. Called once, when no call is left;
    /// calling it again does nothing.
    pub async fn shutdown(&self) {
        for opened in self.instances.take(|_| true) {
            opened.close().await;
        }
        self.closers.close().await;
        self.retiring.wait().await;
    }
}

fn unix_millis() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_millis().try_into().unwrap_or(u64::MAX))
}
