//! The places of all modules, and their handles as the rest of the server has them.

use std::sync::Arc;

use micro_plugin_api::{
    BlobHandle, BrokerHandle, RegistryHandle, RuntimeHandle, StoreHandle, StreamHandle,
};

use crate::{
    Module,
    live::Live,
    reload::AnySlot,
    slot::Slot,
    swappable::{
        BlobName, Changed, FullKey, Leases, Pending, SwappableBlob, SwappableBroker,
        SwappableRegistry, SwappableRuntime, SwappableStore, SwappableStream,
    },
    trust::Trust,
};

/// The places of all modules.
pub(crate) struct Slots {
    pub(crate) store: Arc<Slot<StoreHandle>>,
    pub(crate) blob: Arc<Slot<BlobHandle>>,
    pub(crate) stream: Arc<Slot<StreamHandle>>,
    pub(crate) broker: Arc<Slot<BrokerHandle>>,
    pub(crate) registry: Arc<Slot<RegistryHandle>>,
    pub(crate) runtime: Arc<Slot<RuntimeHandle>>,
    /// The keys that are written while the store is copied.
    pub(crate) changed: Arc<Changed<FullKey>>,
    /// The blobs that are written while they are copied.
    pub(crate) changed_blobs: Arc<Changed<BlobName>>,
    /// Until when nodes are registered.
    pub(crate) leases: Arc<Leases>,
    /// The deliveries that are not settled.
    pub(crate) pending: Arc<Pending>,
    /// Whether the store is the one that the server began with.
    pub(crate) trust: Arc<Trust>,
    pub(crate) handles: Handles,
}

/// The handles that go to whatever is live.
pub(crate) struct Handles {
    pub(crate) store: StoreHandle,
    pub(crate) blob: BlobHandle,
    pub(crate) stream: StreamHandle,
    pub(crate) broker: BrokerHandle,
    pub(crate) registry: RegistryHandle,
    pub(crate) runtime: RuntimeHandle,
}

impl Slots {
    pub(crate) fn new(
        store: Live<StoreHandle>,
        blob: Live<BlobHandle>,
        stream: Live<StreamHandle>,
        broker: Live<BrokerHandle>,
        registry: Live<RegistryHandle>,
        runtime: Live<RuntimeHandle>,
    ) -> Self {
        let (store, blob, stream) = (Slot::new(store), Slot::new(blob), Slot::new(stream));
        let (broker, registry) = (Slot::new(broker), Slot::new(registry));
        let runtime = Slot::new(runtime);
        let changed = Arc::<Changed<FullKey>>::default();
        let changed_blobs = Arc::<Changed<BlobName>>::default();
        let leases = Arc::<Leases>::default();
        let pending = Arc::<Pending>::default();
        let trust = Arc::<Trust>::default();
        let handles = Handles {
            store: StoreHandle::new(SwappableStore {
                slot: store.clone(),
                changed: changed.clone(),
                trust: trust.clone(),
            }),
            blob: BlobHandle::new(SwappableBlob {
                slot: blob.clone(),
                changed: changed_blobs.clone(),
            }),
            stream: StreamHandle::new(SwappableStream {
                slot: stream.clone(),
                pending: pending.clone(),
            }),
            broker: BrokerHandle::new(SwappableBroker(broker.clone())),
            registry: RegistryHandle::new(SwappableRegistry {
                slot: registry.clone(),
                leases: leases.clone(),
            }),
            runtime: RuntimeHandle::new(SwappableRuntime(runtime.clone())),
        };
        Self {
            store,
            blob,
            stream,
            broker,
            registry,
            runtime,
            changed,
            changed_blobs,
            leases,
            pending,
            trust,
            handles,
        }
    }

    /// The place of a module.
    pub(crate) fn any(&self, module: Module) -> &dyn AnySlot {
        match module {
            Module::Store => &*self.store,
            Module::Blob => &*self.blob,
            Module::Stream => &*self.stream,
            Module::Broker => &*self.broker,
            Module::Registry => &*self.registry,
            Module::Runtime => &*self.runtime,
        }
    }
}
