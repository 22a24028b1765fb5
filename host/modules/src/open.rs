//! From a profile to live modules: each plugin opened once for each set of settings.

use std::{path::PathBuf, sync::Arc};

use micro_loader::LoadError;
use micro_plugin_api::{BrokerHandle, StreamHandle};
use micro_profile::{Location, Module, Profile};

use crate::{
    Modules,
    absent::Absent,
    instances::{Instances, Key, Opener},
    live::{Handle, Live},
    shutdown::Closers,
    slots::Slots,
};

/// Why the modules of a profile could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Nothing fills a module.
    #[error(
        "profile {profile} has no plugin for the module `{module}`; add `[{module}]` with a \
         `plugin` to {file}, or extend a profile that has one"
    )]
    Missing {
        /// The profile.
        profile: String,
        /// Its file.
        file: String,
        /// The module.
        module: Module,
    },

    /// A plugin cannot be loaded or opened.
    #[error("{location}: {module}: {source}")]
    Load {
        /// The line that says so.
        location: Location,
        /// The module, or the key of the setting that is wrong.
        module: String,
        /// Why not.
        source: Box<LoadError>,
    },

    /// A plugin does not do what is asked of it.
    #[error(
        "{location}: plugin {plugin} has no module `{module}`; it offers {}",
        offers.join(", ")
    )]
    NotOffered {
        /// The line that says so.
        location: Location,
        /// The plugin.
        plugin: String,
        /// The module.
        module: Module,
        /// What the plugin offers.
        offers: Vec<String>,
    },
}

/// Where plugins are found and where they keep things.
#[derive(Clone, Debug)]
pub struct Places {
    /// The folders that are searched for plugins, in order.
    pub search: Vec<PathBuf>,
    /// The server's state folder, absolute: plugins get a folder of their own in `plugins`, the
    /// output of services is in `logs`, copies of libraries are in `cache/plugins`.
    pub state: PathBuf,
}

impl Places {
    /// Where the output of services is kept.
    pub fn logs(&self) -> PathBuf {
        self.state.join("logs")
    }
}

impl Modules {
    /// Opens every module of a profile, in the order of [`Module::ALL`]. Modules of one plugin
    /// with the same settings are views of one instance.
    ///
    /// # Errors
    /// The first module that cannot be opened; what was open by then is closed again.
    pub async fn open(profile: &Profile, places: &Places) -> Result<Arc<Self>, OpenError> {
        let opener = Arc::new(Opener::new(places.clone()));
        let instances = Instances::default();
        let opening = Opening {
            profile,
            opener: &opener,
            instances: &instances,
        };
        match opening.all().await {
            Ok(slots) => {
                let closers = Closers::default();
                Ok(Self::new(slots, instances, closers, Some(opener)))
            }
            Err(error) => {
                for opened in instances.take(|_| true) {
                    opened.close().await;
                }
                Err(error)
            }
        }
    }
}

/// What stands in for a stream that a profile has no plugin for.
pub(crate) fn no_stream(profile: &Profile) -> Live<StreamHandle> {
    let absent = Absent::new(Module::Stream, &profile.name);
    Live::new("none", None, StreamHandle::new(absent))
}

/// What stands in for a broker that a profile has no plugin for.
pub(crate) fn no_broker(profile: &Profile) -> Live<BrokerHandle> {
    let absent = Absent::new(Module::Broker, &profile.name);
    Live::new("none", None, BrokerHandle::new(absent))
}

/// The error of a module that a profile must have, and has no plugin for.
pub(crate) fn missing(profile: &Profile, module: Module) -> OpenError {
    let file = profile.files.first();
    OpenError::Missing {
        profile: profile.name.clone(),
        file: file.map_or_else(String::new, ToString::to_string),
        module,
    }
}

/// A profile that is being opened.
struct Opening<'a> {
    profile: &'a Profile,
    opener: &'a Arc<Opener>,
    instances: &'a Instances,
}

impl Opening<'_> {
    async fn all(&self) -> Result<Slots, OpenError> {
        Ok(Slots::new(
            self.module().await?,
            self.module().await?,
            self.optional(no_stream).await?,
            self.optional(no_broker).await?,
            self.module().await?,
            self.module().await?,
        ))
    }

    /// One module that a profile may do without, as those do that were written before it was
    /// thought of.
    async fn optional<H: Handle>(
        &self,
        absent: impl FnOnce(&Profile) -> Live<H>,
    ) -> Result<Live<H>, OpenError> {
        if self.profile.slots.contains_key(&H::MODULE) {
            return self.module().await;
        }
        Ok(absent(self.profile))
    }

    /// One module, of an instance that is open already or is opened now.
    async fn module<H: Handle>(&self) -> Result<Live<H>, OpenError> {
        let Some(slot) = self.profile.slots.get(&H::MODULE) else {
            return Err(missing(self.profile, H::MODULE));
        };
        let key = self.opener.key(self.profile, H::MODULE, slot)?;
        let view = |key: &Key| {
            let viewed = self.instances.with(key, |opened| opened.view(slot))?;
            Some(viewed.map(|handle| Live::new(&slot.plugin, Some(key.clone()), handle)))
        };
        if let Some(live) = view(&key) {
            return live;
        }
        let opened = self
            .opener
            .load_and_open(self.profile, H::MODULE, slot)
            .await?;
        let live = opened
            .view(slot)
            .map(|handle| Live::new(&slot.plugin, Some(opened.key.clone()), handle));
        self.instances.add(opened);
        live
    }
}
