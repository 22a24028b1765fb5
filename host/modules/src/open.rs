//! From a profile to live modules: each plugin opened once for each set of settings.

use std::{path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use micro_loader::{Instance, LoadError, LoadOptions, Loader, OPEN_DEADLINE};
use micro_plugin_api::{
    BlobHandle, BrokerHandle, Host, RegistryHandle, RuntimeHandle, StoreHandle, StreamHandle,
};
use micro_profile::{Location, Module, Profile, Slot};

use crate::{Modules, absent::Absent, health::Checks, live::Live, shutdown::Closers};

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
        source: LoadError,
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
        let mut opening = Opening {
            profile,
            places,
            loader: Loader::new(places.search.clone(), places.state.join("cache/plugins")),
            opened: Vec::new(),
        };
        let modules = opening.all().await;
        let closers = Closers::default();
        for opened in opening.opened {
            closers.push_instance(opened.instance);
        }
        match modules {
            Ok((store, blob, stream, broker, registry, runtime)) => Ok(Arc::new(Self {
                store: ArcSwap::from_pointee(store),
                blob: ArcSwap::from_pointee(blob),
                stream: ArcSwap::from_pointee(stream),
                broker: ArcSwap::from_pointee(broker),
                registry: ArcSwap::from_pointee(registry),
                runtime: ArcSwap::from_pointee(runtime),
                checks: Checks::default(),
                closers,
            })),
            Err(error) => {
                closers.close().await;
                Err(error)
            }
        }
    }
}

type All = (
    Live<StoreHandle>,
    Live<BlobHandle>,
    Live<StreamHandle>,
    Live<BrokerHandle>,
    Live<RegistryHandle>,
    Live<RuntimeHandle>,
);

/// What is open so far.
struct Opening<'a> {
    profile: &'a Profile,
    places: &'a Places,
    loader: Loader,
    opened: Vec<Opened>,
}

/// An instance, and what makes it this one.
struct Opened {
    plugin: String,
    settings: String,
    instance: Instance,
    offers: Vec<String>,
}

impl Opening<'_> {
    async fn all(&mut self) -> Result<All, OpenError> {
        Ok((
            self.module(Module::Store, Instance::store).await?,
            self.module(Module::Blob, Instance::blob).await?,
            self.optional(Module::Stream, Instance::stream, |absent| {
                StreamHandle::new(absent)
            })
            .await?,
            self.optional(Module::Broker, Instance::broker, |absent| {
                BrokerHandle::new(absent)
            })
            .await?,
            self.module(Module::Registry, Instance::registry).await?,
            self.module(Module::Runtime, Instance::runtime).await?,
        ))
    }

    /// The handle of one module that a profile may do without, as those do that were written before
    /// it was thought of.
    async fn optional<H>(
        &mut self,
        module: Module,
        view: impl Fn(&Instance) -> Option<H>,
        absent: impl FnOnce(Absent) -> H,
    ) -> Result<Live<H>, OpenError> {
        if self.profile.slots.contains_key(&module) {
            return self.module(module, view).await;
        }
        let absent = absent(Absent::new(module, &self.profile.name));
        Ok(Live::new("none", absent))
    }

    /// The handle of one module, of an instance that is open already or is opened now.
    async fn module<H>(
        &mut self,
        module: Module,
        view: impl Fn(&Instance) -> Option<H>,
    ) -> Result<Live<H>, OpenError> {
        let Some(slot) = self.profile.slots.get(&module) else {
            let file = self.profile.files.first();
            return Err(OpenError::Missing {
                profile: self.profile.name.clone(),
                file: file.map_or_else(String::new, ToString::to_string),
                module,
            });
        };
        let settings = serde_json::Value::Object(slot.settings.clone()).to_string();
        let index = match self
            .opened
            .iter()
            .position(|opened| opened.plugin == slot.plugin && opened.settings == settings)
        {
            Some(index) => index,
            None => {
                let opened = self.open(slot, settings).await.map_err(|source| {
                    let (location, module) = place(slot, module, &source);
                    OpenError::Load {
                        location,
                        module,
                        source,
                    }
                })?;
                self.opened.push(opened);
                self.opened.len() - 1
            }
        };
        let opened = &self.opened[index];
        let handle = view(&opened.instance).ok_or_else(|| OpenError::NotOffered {
            location: slot.locate("plugin"),
            plugin: slot.plugin.clone(),
            module,
            offers: opened.offers.clone(),
        })?;
        Ok(Live::new(slot.plugin.clone(), handle))
    }

    async fn open(&self, slot: &Slot, settings: String) -> Result<Opened, LoadError> {
        let plugin = &slot.plugin;
        let source = self.profile.plugins.get(plugin);
        let path = source.and_then(|source| source.path.as_deref());
        let path = self.loader.locate(plugin, path)?;
        let mut options = LoadOptions::named(plugin);
        if let Some(sha256) = source.and_then(|source| source.sha256.as_ref()) {
            options = options.with_sha256(sha256);
        }
        let library = self.loader.load(&path, &options)?;
        let host = Host::new(
            plugin,
            self.places.state.join("plugins").join(plugin),
            self.places.logs(),
        );
        let instance = library.open(&settings, host, OPEN_DEADLINE).await?;
        Ok(Opened {
            plugin: plugin.clone(),
            settings,
            instance,
            offers: library.manifest().modules.clone(),
        })
    }
}

/// The line that a failure is about, and what it is about there: the setting, if it is one, else
/// the module.
fn place(slot: &Slot, module: Module, error: &LoadError) -> (Location, String) {
    match error {
        LoadError::UnknownSetting { key, .. } | LoadError::Setting { key, .. }
            if !key.is_empty() =>
        {
            (slot.locate(key), format!("{module}.{key}"))
        }
        _ => (slot.locate("plugin"), module.to_string()),
    }
}
