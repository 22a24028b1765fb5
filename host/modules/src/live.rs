//! One module as it is now: its handle, and the plugin behind it.

use micro_loader::Instance;
use micro_plugin_api::{
    BlobHandle, BoxFuture, BrokerHandle, Call, RegistryHandle, Result, RuntimeHandle, StoreHandle,
    StreamHandle,
};

use crate::{Module, instances::Key, told::Telling};

/// The handle of a module, with the plugin that fills it. Every call and stream that goes through
/// it holds on to it, so that who replaces it knows when it is no longer used.
pub(crate) struct Live<H> {
    pub(crate) plugin: String,
    /// The instance that it is a view of; `None` where there is none.
    pub(crate) key: Option<Key>,
    pub(crate) handle: H,
    /// Tells instances of one module apart; grows with every swap.
    pub(crate) generation: u64,
    /// What is added to versions of a store on their way out, so that those of two stores that
    /// followed each other are never taken for each other.
    pub(crate) versions_from: u64,
}

impl<H> Live<H> {
    pub(crate) fn new(plugin: impl Into<String>, key: Option<Key>, handle: H) -> Self {
        Self {
            plugin: plugin.into(),
            key,
            handle,
            generation: 0,
            versions_from: 0,
        }
    }
}

/// What every module can do, whatever else it does.
pub(crate) trait Handle: Telling + Clone + Send + Sync + 'static {
    /// Which module this is a handle of.
    const MODULE: Module;
    /// The view of an instance that is this module.
    fn view(instance: &Instance) -> Option<Self>;
    fn health<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>>;
    fn shutdown<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>>;
}

macro_rules! handles {
    ($($handle:ty: $module:ident $view:ident),*) => {$(
        impl Handle for $handle {
            const MODULE: Module = Module::$module;
            fn view(instance: &Instance) -> Option<Self> {
                instance.$view()
            }
            fn health<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>> {
                Box::pin(self.health(call))
            }
            fn shutdown<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>> {
                Box::pin(self.shutdown(call))
            }
        }
    )*};
}

handles!(
    StoreHandle: Store store,
    BlobHandle: Blob blob,
    StreamHandle: Stream stream,
    BrokerHandle: Broker broker,
    RegistryHandle: Registry registry,
    RuntimeHandle: Runtime runtime
);
