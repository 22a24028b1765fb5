//! An opened instance: its modules, the runtime they live in, and where each method runs.

use tokio::runtime::{Builder, Handle, Runtime};

use crate::{
    BlobHandle, BrokerHandle, Error, RegistryHandle, Result, RuntimeHandle, StoreHandle,
    StreamHandle,
    abi::{
        guard::{self, Surroundings},
        manifest::RunMode,
        records::InstanceRef,
    },
};

/// Threads for code that blocks, such as files: a plugin is one of several in the server.
const BLOCKING_THREADS: usize = 8;

macro_rules! methods {
    ($($method:ident = $name:literal,)*) => {
        /// A method of a module, as `export_plugin!` names it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Method { $(#[doc = $name] $method,)* }

        impl Method {
            /// Every name, in the order of the methods.
            pub const NAMES: &'static [&'static str] = &[$($name,)*];
        }
    };
}

methods! {
    StoreRead = "store.read",
    StoreList = "store.list",
    StoreCommit = "store.commit",
    StoreDatabases = "store.databases",
    StoreTables = "store.tables",
    StoreWatch = "store.watch",
    StoreHealth = "store.health",
    StoreShutdown = "store.shutdown",
    BlobWrite = "blob.write",
    BlobRead = "blob.read",
    BlobDelete = "blob.delete",
    BlobList = "blob.list",
    BlobNamespaces = "blob.namespaces",
    BlobHealth = "blob.health",
    BlobShutdown = "blob.shutdown",
    StreamPublish = "stream.publish",
    StreamConsume = "stream.consume",
    StreamSettle = "stream.settle",
    StreamHistory = "stream.history",
    StreamHealth = "stream.health",
    StreamShutdown = "stream.shutdown",
    BrokerPublish = "broker.publish",
    BrokerSubscribe = "broker.subscribe",
    BrokerHealth = "broker.health",
    BrokerShutdown = "broker.shutdown",
    RegistryRegister = "registry.register",
    RegistryDeregister = "registry.deregister",
    RegistryList = "registry.list",
    RegistryWatch = "registry.watch",
    RegistryHealth = "registry.health",
    RegistryShutdown = "registry.shutdown",
    RuntimeStart = "runtime.start",
    RuntimeStop = "runtime.stop",
    RuntimeList = "runtime.list",
    RuntimeLogs = "runtime.logs",
    RuntimeWatch = "runtime.watch",
    RuntimeHealth = "runtime.health",
    RuntimeShutdown = "runtime.shutdown",
}

impl Method {
    /// The name, `module.method`.
    pub(super) fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// Whether a call that is dropped goes on until its deadline: a write half done is worse than
    /// one that nobody waits for. Not so a blob, whose body ends with its caller, and whose
    /// contract is that a cancelled write leaves what was there.
    pub(super) fn outlives_its_caller(self) -> bool {
        matches!(
            self,
            Self::StoreCommit
                | Self::StoreShutdown
                | Self::BlobDelete
                | Self::BlobShutdown
                | Self::StreamPublish
                | Self::StreamSettle
                | Self::StreamShutdown
                | Self::BrokerPublish
                | Self::BrokerShutdown
                | Self::RegistryRegister
                | Self::RegistryDeregister
                | Self::RegistryShutdown
                | Self::RuntimeStart
                | Self::RuntimeStop
                | Self::RuntimeShutdown
        )
    }
}

/// The modules of an instance.
#[derive(Default)]
pub(super) struct Modules {
    pub(super) store: Option<StoreHandle>,
    pub(super) blob: Option<BlobHandle>,
    pub(super) stream: Option<StreamHandle>,
    pub(super) broker: Option<BrokerHandle>,
    pub(super) registry: Option<RegistryHandle>,
    pub(super) runtime: Option<RuntimeHandle>,
}

/// What the host's `InstanceRef` points to.
pub(super) struct Instance {
    modules: Modules,
    inline: [bool; Method::NAMES.len()],
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
    handle: Handle,
}

impl Instance {
    pub(super) fn new(modules: Modules, runtime: Runtime, run: RunMode, except: &[&str]) -> Self {
        let inline = std::array::from_fn(|at| {
            (run == RunMode::Inline) != except.contains(&Method::NAMES[at])
        });
        Self {
            modules,
            inline,
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
        }
    }

    /// # Safety
    /// `instance` must be what this library's `open` gave.
    pub(super) unsafe fn borrow(instance: InstanceRef<'_>) -> &Self {
        // SAFETY: as promised by the caller.
        unsafe { instance.get::<Self>() }
    }

    pub(super) fn store(&self) -> Result<&StoreHandle> {
        self.modules.store.as_ref().ok_or_else(|| missing("store"))
    }

    pub(super) fn blob(&self) -> Result<&BlobHandle> {
        self.modules.blob.as_ref().ok_or_else(|| missing("blob"))
    }

    pub(super) fn stream(&self) -> Result<&StreamHandle> {
        self.modules
            .stream
            .as_ref()
            .ok_or_else(|| missing("stream"))
    }

    pub(super) fn broker(&self) -> Result<&BrokerHandle> {
        self.modules
            .broker
            .as_ref()
            .ok_or_else(|| missing("broker"))
    }

    pub(super) fn registry(&self) -> Result<&RegistryHandle> {
        self.modules
            .registry
            .as_ref()
            .ok_or_else(|| missing("registry"))
    }

    pub(super) fn runtime(&self) -> Result<&RuntimeHandle> {
        self.modules
            .runtime
            .as_ref()
            .ok_or_else(|| missing("runtime"))
    }

    pub(super) fn is_inline(&self, method: Method) -> bool {
        self.inline[method as usize]
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    pub(super) fn surroundings(&self) -> Surroundings {
        self.handle.clone().into()
    }
}

fn missing(module: &str) -> Error {
    Error::unsupported(format!("this plugin has no module {module}"))
}

impl Drop for Instance {
    fn drop(&mut self) {
        let modules = std::mem::take(&mut self.modules);
        {
            let _entered = self.handle.enter();
            let Modules {
                store,
                blob,
                stream,
                broker,
                registry,
                runtime,
            } = modules;
            // One by one: a panic in the drop of one must not leak the others.
            let _ = guard::contain(move || drop(store));
            let _ = guard::contain(move || drop(blob));
            let _ = guard::contain(move || drop(stream));
            let _ = guard::contain(move || drop(broker));
            let _ = guard::contain(move || drop(registry));
            let _ = guard::contain(move || drop(runtime));
        }
        if let Some(runtime) = self.runtime.take() {
            // Not waited for: a task that blocks must not hold up whoever lets go of the plugin.
            let _ = guard::contain(move || runtime.shutdown_background());
        }
    }
}

/// The runtime of an instance: one worker, since a plugin is one of several in the server.
pub(super) fn runtime(plugin: &str) -> Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name(format!("p:{plugin}"))
        .enable_all()
        .build()
        .map_err(|error| Error::unavailable(format!("cannot start the plugin's threads: {error}")))
}
