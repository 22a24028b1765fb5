//! From a profile to live modules: each plugin opened once for each set of settings, all of them
//! beside each other.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use futures::future::join_all;
use micro_plugin_api::{BrokerHandle, StreamHandle};
use micro_profile::{Module, Profile, Slot};

use crate::{
    Modules, OpenError,
    absent::Absent,
    instances::{Instances, Key, Opener},
    live::{Handle, Live},
    shutdown::Closers,
    slots::Slots,
};

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
    /// Opens every module of a profile. Modules of one plugin with the same settings are views of
    /// one instance. Instances are opened beside each other, so that one which waits for its backend
    /// keeps no other waiting, and closed in the reverse order of [`Module::ALL`].
    ///
    /// # Errors
    /// Every module that cannot be opened; what was open by then is closed again.
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
                opener.prune(&instances).await;
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

/// An instance that several modules may share.
struct Shared<'a> {
    /// What its library and settings are before it is loaded.
    key: Key,
    /// The first of its modules, which errors are about.
    first: (Module, &'a Slot),
    modules: Vec<Module>,
}

impl Opening<'_> {
    async fn all(&self) -> Result<Slots, OpenError> {
        let keys = self.open(self.shared().await?).await?;
        Ok(Slots::new(
            self.module(&keys)?,
            self.module(&keys)?,
            self.optional(&keys, no_stream)?,
            self.optional(&keys, no_broker)?,
            self.module(&keys)?,
            self.module(&keys)?,
        ))
    }

    /// The instances that there have to be, in the order of their first modules.
    async fn shared(&self) -> Result<Vec<Shared<'_>>, OpenError> {
        let required = Module::REQUIRED.into_iter();
        let lacking = required.filter(|module| !self.profile.slots.contains_key(module));
        let mut failed: Vec<_> = lacking
            .map(|module| missing(self.profile, module))
            .collect();
        let mut keys = self.opener.keys(self.profile).await;
        let mut shared = Vec::<Shared<'_>>::new();
        for (&module, slot) in &self.profile.slots {
            match keys.remove(&module) {
                Some(Ok(key)) => match shared.iter_mut().find(|other| other.key == key) {
                    Some(other) => other.modules.push(module),
                    None => shared.push(Shared {
                        key,
                        first: (module, slot),
                        modules: vec![module],
                    }),
                },
                Some(Err(error)) => failed.push(error),
                None => {}
            }
        }
        OpenError::none_of(failed)?;
        Ok(shared)
    }

    /// Opens the instances; tells which one each module is of.
    async fn open(&self, shared: Vec<Shared<'_>>) -> Result<BTreeMap<Module, Key>, OpenError> {
        let opening = shared.iter().map(|instance| {
            let (module, slot) = instance.first;
            self.opener.load_and_open(self.profile, module, slot)
        });
        let opened = join_all(opening).await;
        let (mut keys, mut failed) = (BTreeMap::new(), Vec::new());
        // In the order of modules, whichever was faster: they are closed in the reverse of it.
        for (instance, opened) in shared.into_iter().zip(opened) {
            match opened {
                Ok(opened) => {
                    let modules = instance.modules.into_iter();
                    keys.extend(modules.map(|module| (module, opened.key.clone())));
                    self.instances.add(opened);
                }
                Err(error) => failed.push(error),
            }
        }
        OpenError::none_of(failed)?;
        Ok(keys)
    }

    /// One module that a profile may do without, as those do that were written before it was
    /// thought of.
    fn optional<H: Handle>(
        &self,
        keys: &BTreeMap<Module, Key>,
        absent: impl FnOnce(&Profile) -> Live<H>,
    ) -> Result<Live<H>, OpenError> {
        if self.profile.slots.contains_key(&H::MODULE) {
            return self.module(keys);
        }
        Ok(absent(self.profile))
    }

    /// One module, of an instance that is open.
    fn module<H: Handle>(&self, keys: &BTreeMap<Module, Key>) -> Result<Live<H>, OpenError> {
        let view = || {
            let slot = self.profile.slots.get(&H::MODULE)?;
            let key = keys.get(&H::MODULE)?;
            let viewed = self.instances.with(key, |opened| opened.view(slot))?;
            Some(viewed.map(|handle| Live::new(&slot.plugin, Some(key.clone()), handle)))
        };
        view().unwrap_or_else(|| Err(missing(self.profile, H::MODULE)))
    }
}
