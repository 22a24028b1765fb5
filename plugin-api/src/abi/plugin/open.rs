//! Opening an instance: settings are read, the author's constructors run, their modules are kept.

use std::{
    any::{Any, TypeId},
    future::Future,
    sync::Arc,
};

use abi_stable::std_types::{RErr, ROk, RResult, RStr};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::runtime::Runtime;

use super::{
    describe::Exported,
    instance::{self, Instance, Modules},
    logs, settings,
};
use crate::{
    Blob, BlobHandle, Broker, BrokerHandle, Error, Host, Registry, RegistryHandle, Result,
    RuntimeHandle, Store, StoreHandle, Stream, StreamHandle,
    abi::{
        guard,
        records::{ErrorRecord, OpenedRecord},
        tables::HostRecord,
    },
};

/// [`Host`] as it crosses: a document, so that it can gain fields.
#[derive(Serialize, Deserialize)]
pub(crate) struct HostDocument {
    pub(crate) plugin: String,
    pub(crate) state_dir: String,
    pub(crate) logs_dir: String,
}

/// What a constructor returns: the plugin, or a future of it. `How` keeps the two apart.
pub trait Opening<How> {
    /// The author's type.
    type Plugin: Send + Sync + 'static;

    /// Waits for it.
    fn finish(self, runtime: &Runtime) -> Result<Self::Plugin>;
}

/// Marks a constructor that is a plain function.
pub enum Now {}
/// Marks a constructor that is an async function.
pub enum Later {}

impl<P: Send + Sync + 'static> Opening<Now> for Result<P> {
    type Plugin = P;

    fn finish(self, _: &Runtime) -> Result<P> {
        self
    }
}

impl<P, F> Opening<Later> for F
where
    P: Send + Sync + 'static,
    F: Future<Output = Result<P>>,
{
    type Plugin = P;

    fn finish(self, runtime: &Runtime) -> Result<P> {
        runtime.block_on(self)
    }
}

/// Opens the modules of one instance, for the code that `export_plugin!` expands to.
pub struct Opener<'a> {
    settings: &'a str,
    host: &'a Host,
    runtime: &'a Runtime,
    /// What each constructor made. One that is named for several modules runs once.
    opened: Vec<(TypeId, Arc<dyn Any + Send + Sync>)>,
    modules: Modules,
}

macro_rules! module {
    ($method:ident, $contract:path, $handle:ident) => {
        /// Opens this module with `constructor`.
        pub fn $method<F, S, R, How>(&mut self, constructor: F) -> Result<()>
        where
            F: FnOnce(S, Host) -> R + 'static,
            S: DeserializeOwned + JsonSchema,
            R: Opening<How>,
            R::Plugin: $contract,
        {
            self.modules.$method = Some($handle::from(self.instance(constructor)?));
            Ok(())
        }
    };
}

impl Opener<'_> {
    module!(store, Store, StoreHandle);
    module!(blob, Blob, BlobHandle);
    module!(stream, Stream, StreamHandle);
    module!(broker, Broker, BrokerHandle);
    module!(registry, Registry, RegistryHandle);
    module!(runtime, crate::Runtime, RuntimeHandle);

    fn instance<F, S, R, How>(&mut self, constructor: F) -> Result<Arc<R::Plugin>>
    where
        F: FnOnce(S, Host) -> R + 'static,
        S: DeserializeOwned + JsonSchema,
        R: Opening<How>,
    {
        let id = TypeId::of::<F>();
        if let Some((_, instance)) = self.opened.iter().find(|(opened, _)| *opened == id) {
            return Arc::clone(instance)
                .downcast()
                .map_err(|_| Error::internal("one constructor made two types"));
        }
        let settings = settings::read::<S>(self.settings)?;
        let opening = {
            let _entered = self.runtime.enter();
            constructor(settings, self.host.clone())
        };
        let instance = Arc::new(opening.finish(self.runtime)?);
        self.opened.push((id, instance.clone()));
        Ok(instance)
    }
}

pub(super) extern "C" fn open<E: Exported>(
    settings: RStr<'_>,
    host: RStr<'_>,
    services: HostRecord,
) -> RResult<OpenedRecord, ErrorRecord> {
    let opened = guard::contain(|| {
        logs::forward(E::NAME, services);
        let host: HostDocument = serde_json::from_str(host.as_str())
            .map_err(|error| Error::internal(format!("the host's document: {error}")))?;
        let host = Host::new(host.plugin, host.state_dir, host.logs_dir);
        let runtime = instance::runtime(E::NAME)?;
        let mut opener = Opener {
            settings: settings.as_str(),
            host: &host,
            runtime: &runtime,
            opened: Vec::new(),
            modules: Modules::default(),
        };
        let outcome = guard::contain(|| E::open(&mut opener)).flatten();
        let Opener {
            opened, modules, ..
        } = opener;
        {
            // The handles share what is in here: this drops only what a failure left over.
            let _entered = runtime.enter();
            drop(opened);
        }
        // The instance is made in any case: it knows how to drop modules.
        let instance = Instance::new(modules, runtime, E::RUN, E::EXCEPT);
        outcome.map(|()| instance)
    })
    .flatten();
    match opened {
        Ok(instance) => ROk(OpenedRecord {
            instance: Box::into_raw(Box::new(instance)).cast_const().cast(),
            release,
        }),
        Err(error) => RErr(error.into()),
    }
}

extern "C" fn release(instance: *const ()) {
    let _ = guard::contain(|| {
        // SAFETY: it is the box that `open` made, and the host releases it once, after the last
        // call and stream.
        drop(unsafe { Box::from_raw(instance.cast_mut().cast::<Instance>()) });
    });
}
