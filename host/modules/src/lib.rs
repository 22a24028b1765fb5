//! The live modules of a server, each behind a handle that can be swapped.
//!
//! Whoever needs a module asks [`Modules`] for its handle for each piece of work, and keeps it no
//! longer than that, so that another instance can take its place.

mod absent;
mod blocking;
mod health;
mod live;
mod open;
mod shutdown;

pub use health::ModuleHealth;
pub use micro_profile::Module;
pub use open::{OpenError, Places};

use std::sync::Arc;

use arc_swap::ArcSwap;
use micro_plugin_api::{
    BlobHandle, BrokerHandle, RegistryHandle, RuntimeHandle, StoreHandle, StreamHandle,
};

use crate::{health::Checks, live::Live, shutdown::Closers};

/// The store database of the platform's own records (accounts, rules, keys, what runs). No
/// namespace can have this name, so no user reaches it through a core service.
pub const PLATFORM_DATABASE: &str = "$platform";

/// The modules that a server stands on. Shared by everything in it.
pub struct Modules {
    store: ArcSwap<Live<StoreHandle>>,
    blob: ArcSwap<Live<BlobHandle>>,
    stream: ArcSwap<Live<StreamHandle>>,
    broker: ArcSwap<Live<BrokerHandle>>,
    registry: ArcSwap<Live<RegistryHandle>>,
    runtime: ArcSwap<Live<RuntimeHandle>>,
    checks: Checks,
    closers: Closers,
}

impl Modules {
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
        Arc::new(Self {
            store: ArcSwap::from_pointee(Live::new(PLUGIN, store)),
            blob: ArcSwap::from_pointee(Live::new(PLUGIN, blob)),
            stream: ArcSwap::from_pointee(Live::new(PLUGIN, stream)),
            broker: ArcSwap::from_pointee(Live::new(PLUGIN, broker)),
            registry: ArcSwap::from_pointee(Live::new(PLUGIN, registry)),
            runtime: ArcSwap::from_pointee(Live::new(PLUGIN, runtime)),
            checks: Checks::default(),
            closers,
        })
    }

    /// The store.
    pub fn store(&self) -> StoreHandle {
        self.store.load().handle.clone()
    }

    /// The blob store.
    pub fn blob(&self) -> BlobHandle {
        self.blob.load().handle.clone()
    }

    /// The stream. Where the profile has none, each of its calls fails with `unsupported` and names
    /// the slot.
    pub fn stream(&self) -> StreamHandle {
        self.stream.load().handle.clone()
    }

    /// The broker. Where the profile has none, each of its calls fails with `unsupported` and names
    /// the slot.
    pub fn broker(&self) -> BrokerHandle {
        self.broker.load().handle.clone()
    }

    /// The registry.
    pub fn registry(&self) -> RegistryHandle {
        self.registry.load().handle.clone()
    }

    /// The runtime.
    pub fn runtime(&self) -> RuntimeHandle {
        self.runtime.load().handle.clone()
    }

    /// Closes what was opened, the last first, each within five seconds (a runtime, which ends
    /// the services that it runs, within fifteen). What fails to close is
    /// logged: there is nobody left who could do better. Called once, when no call is left;
    /// calling it again does nothing.
    pub async fn shutdown(&self) {
        self.closers.close().await;
    }
}
