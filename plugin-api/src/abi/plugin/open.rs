//! Opening an instance: settings are read, the author's constructors run beside each other, their
//! modules are kept.

use std::{
    any::{Any, TypeId},
    future::Future,
    sync::Arc,
};

use abi_stable::std_types::{RErr, ROk, RResult, RStr};
use futures::future::{self, LocalBoxFuture};
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

    /// It, once it is there.
    fn finish(self) -> LocalBoxFuture<'static, Result<Self::Plugin>>;
}

/// Marks a constructor that is a plain function.
pub enum Now {}
/// Marks a constructor that is an async function.
pub enum Later {}

impl<P: Send + Sync + 'static> Opening<Now> for Result<P> {
    type Plugin = P;

    fn finish(self) -> LocalBoxFuture<'static, Self> {
        Box::pin(future::ready(self))
    }
}

impl<P, F> Opening<Later> for F
where
    P: Send + Sync + 'static,
    F: Future<Output = Result<P>> + 'static,
{
    type Plugin = P;

    fn finish(self) -> LocalBoxFuture<'static, Result<P>> {
        Box::pin(self)
    }
}

/// What a constructor made.
type Made = Arc<dyn Any + Send + Sync>;

/// Makes a module of it.
type Keep = fn(Made, &mut Modules) -> Result<()>;

/// Opens the modules of one instance, for the code that `export_plugin!` expands to.
pub struct Opener<'a> {
    settings: &'a str,
    host: &'a Host,
    runtime: &'a Runtime,
    /// The constructors. One that is named for several modules runs once.
    constructors: Vec<TypeId>,
    /// What each of them is making.
    making: Vec<LocalBoxFuture<'static, Result<Made>>>,
    made: Vec<Result<Made>>,
    /// The modules that what a constructor made is to be.
    wanted: Vec<(TypeId, Keep)>,
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
            self.begin(constructor)?;
            self.wanted.push((TypeId::of::<F>(), |made, modules| {
                modules.$method = Some($handle::from(whole::<R::Plugin>(made)?));
                Ok(())
            }));
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

    fn begin<F, S, R, How>(&mut self, constructor: F) -> Result<()>
    where
        F: FnOnce(S, Host) -> R + 'static,
        S: DeserializeOwned + JsonSchema,
        R: Opening<How>,
    {
        let id = TypeId::of::<F>();
        if self.constructors.contains(&id) {
            return Ok(());
        }
        let settings = settings::read::<S>(self.settings)?;
        let making = {
            let _entered = self.runtime.enter();
            constructor(settings, self.host.clone()).finish()
        };
        self.constructors.push(id);
        self.making.push(Box::pin(async move {
            let made: Made = Arc::new(making.await?);
            Ok(made)
        }));
        Ok(())
    }

    /// Waits for all that is being made, beside each other: what one of them waits for keeps no
    /// other waiting. The first error in their order is that of the instance.
    fn finish(&mut self, modules: &mut Modules) -> Result<()> {
        let making = std::mem::take(&mut self.making);
        self.made = self.runtime.block_on(future::join_all(making));
        for (id, keep) in &self.wanted {
            let mut all = self.constructors.iter().zip(&self.made);
            if let Some((_, made)) = all.find(|(constructor, _)| *constructor == id) {
                keep(made.clone()?, modules)?;
            }
        }
        Ok(())
    }
}

/// What a constructor made, as what it is.
fn whole<P: Send + Sync + 'static>(made: Made) -> Result<Arc<P>> {
    made.downcast()
        .map_err(|_| Error::internal("one constructor made two types"))
}

pub(super) extern "C" fn open<E: Exported>(
    settings: RStr<'_>,
    host: RStr<'_>,
    services: HostRecord,
) -> RResult<OpenedRecord, ErrorRecord> {
    let opened = guard::contain(|| {
        logs::forward(E::NAME, E::MODULE, services);
        let host: HostDocument = serde_json::from_str(host.as_str())
            .map_err(|error| Error::internal(format!("the host's document: {error}")))?;
        let host = Host::new(host.plugin, host.state_dir, host.logs_dir);
        let runtime = instance::runtime(E::NAME)?;
        let mut opener = Opener {
            settings: settings.as_str(),
            host: &host,
            runtime: &runtime,
            constructors: Vec::new(),
            making: Vec::new(),
            made: Vec::new(),
            wanted: Vec::new(),
        };
        let mut modules = Modules::default();
        let outcome = guard::contain(|| {
            E::open(&mut opener)?;
            opener.finish(&mut modules)
        })
        .flatten();
        {
            // The handles share what is in here: this drops only what a failure left over.
            let _entered = runtime.enter();
            drop(opener);
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
