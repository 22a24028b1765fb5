//! One module as it is now: its handle, and the plugin behind it.

use micro_plugin_api::{
    BlobHandle, BoxFuture, BrokerHandle, Call, RegistryHandle, Result, RuntimeHandle, StoreHandle,
    StreamHandle,
};

/// The handle of a module, with the name of the plugin that fills it.
#[derive(Clone)]
pub(crate) struct Live<H> {
    pub(crate) plugin: String,
    pub(crate) handle: H,
}

impl<H> Live<H> {
    pub(crate) fn new(plugin: impl Into<String>, handle: H) -> Self {
        Self {
            plugin: plugin.into(),
            handle,
        }
    }
}

/// What every module can do, whatever else it does.
pub(crate) trait Handle: Clone + Send + Sync + 'static {
    fn health<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>>;
    fn shutdown<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>>;
}

macro_rules! handles {
    ($($handle:ty),*) => {$(
        impl Handle for $handle {
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
    StoreHandle,
    BlobHandle,
    StreamHandle,
    BrokerHandle,
    RegistryHandle,
    RuntimeHandle
);
