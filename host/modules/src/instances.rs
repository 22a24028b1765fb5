//! The instances of plugins that are open: one for each plugin, settings and build of its library.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt, fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use micro_loader::{Instance, Library, LoadError, LoadOptions, Loader};
use micro_plugin_api::Host;
use micro_profile::{Module, Profile, Slot};

use crate::{OpenError, Places, blocking, live::Handle, shutdown};

/// How long a plugin may take to open: what was written before a crash is read again then.
const OPEN: Duration = Duration::from_secs(30);

/// What makes an instance the same as another one. Its `Debug` output leaves the settings out, which
/// may be secret.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) plugin: String,
    /// Its settings, as JSON.
    pub(crate) settings: String,
    /// The hash of its library.
    pub(crate) sha256: String,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("plugin", &self.plugin)
            .field("sha256", &self.sha256)
            .finish_non_exhaustive()
    }
}

/// An instance that is open.
pub(crate) struct Opened {
    pub(crate) key: Key,
    /// Its library, with which it can be opened again when the file is another one by now.
    pub(crate) library: Library,
    pub(crate) instance: Instance,
    /// For each module that it filled before, whether nobody uses that any more.
    left: Vec<Box<dyn Fn() -> bool + Send + Sync>>,
}

impl Opened {
    /// Its handle of a module.
    ///
    /// # Errors
    /// The plugin does not have that module.
    pub(crate) fn view<H: Handle>(&self, slot: &Slot) -> Result<H, OpenError> {
        H::view(&self.instance).ok_or_else(|| OpenError::NotOffered {
            location: slot.locate("plugin"),
            plugin: self.key.plugin.clone(),
            module: H::MODULE,
            offers: self.library.manifest().modules.clone(),
        })
    }

    /// Whether nobody uses it any more.
    pub(crate) fn is_left(&self) -> bool {
        self.left.iter().all(|gone| gone())
    }

    /// Shuts it down and drops it. What fails is logged: there is nobody left who could do better.
    pub(crate) async fn close(self) {
        let Self { key, instance, .. } = self;
        let deadline = shutdown::deadline(instance.runtime().is_some());
        if let Err(error) = instance.shutdown(deadline).await {
            tracing::warn!(name = key.plugin, "cannot close cleanly: {error}");
        }
    }
}

/// The instances that are open, in the order in which they were opened.
#[derive(Default)]
pub(crate) struct Instances(Mutex<Vec<Opened>>);

impl Instances {
    pub(crate) fn add(&self, opened: Opened) {
        self.lock().push(opened);
    }

    /// Asks one, if it is open.
    pub(crate) fn with<T>(&self, key: &Key, ask: impl FnOnce(&Opened) -> T) -> Option<T> {
        self.lock()
            .iter()
            .find(|opened| opened.key == *key)
            .map(ask)
    }

    /// Notes that a module has left an instance, which is used until `gone` says otherwise.
    pub(crate) fn left(&self, key: &Key, gone: impl Fn() -> bool + Send + Sync + 'static) {
        let mut all = self.lock();
        if let Some(opened) = all.iter_mut().find(|opened| opened.key == *key) {
            opened.left.retain(|gone| !gone());
            opened.left.push(Box::new(gone));
        }
    }

    /// Takes out those that `wanted` does not want, the last first.
    pub(crate) fn take(&self, unwanted: impl Fn(&Key) -> bool) -> Vec<Opened> {
        let mut all = self.lock();
        let mut taken = Vec::new();
        for at in (0..all.len()).rev() {
            if unwanted(&all[at].key) {
                taken.push(all.remove(at));
            }
        }
        taken
    }

    /// The hashes of their libraries.
    fn hashes(&self) -> BTreeSet<String> {
        let all = self.lock();
        all.iter().map(|opened| opened.key.sha256.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Opened>> {
        // Nothing that is done under the lock can panic half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Finds, loads and opens the plugins of profiles.
pub(crate) struct Opener {
    places: Places,
    loader: Loader,
    /// The hash of each file, as long as it looks the same.
    hashes: Mutex<HashMap<PathBuf, (Look, String)>>,
}

/// What a file looks like from outside: device, inode, length and the time of its last change.
type Look = (u64, u64, u64, i64, i64);

impl Opener {
    pub(crate) fn new(places: Places) -> Self {
        Self {
            loader: Loader::new(places.search.clone(), places.state.join("cache/plugins")),
            places,
            hashes: Mutex::default(),
        }
    }

    /// What the instance that fills `slot` has to be.
    ///
    /// # Errors
    /// There is no such library, or it cannot be read.
    pub(crate) fn key(
        &self,
        profile: &Profile,
        module: Module,
        slot: &Slot,
    ) -> Result<Key, OpenError> {
        let hashed = self
            .file(profile, slot)
            .and_then(|path| self.hash(&slot.plugin, &path));
        Ok(Key {
            plugin: slot.plugin.clone(),
            settings: settings(slot),
            sha256: hashed.map_err(|error| failed(slot, module, error))?,
        })
    }

    /// What fills each slot of a profile.
    pub(crate) async fn keys(
        self: &Arc<Self>,
        profile: &Profile,
    ) -> BTreeMap<Module, Result<Key, OpenError>> {
        let (opener, profile) = (self.clone(), profile.clone());
        let keys = move || {
            let slots = profile.slots.iter();
            slots
                .map(|(module, slot)| (*module, opener.key(&profile, *module, slot)))
                .collect()
        };
        blocking::off(keys).await
    }

    fn hash(&self, plugin: &str, path: &Path) -> Result<String, LoadError> {
        let look = fs::metadata(path).ok().map(|file| {
            (
                file.dev(),
                file.ino(),
                file.len(),
                file.mtime(),
                file.mtime_nsec(),
            )
        });
        let mut hashes = self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(look), Some((known, hash))) = (look, hashes.get(path))
            && look == *known
        {
            return Ok(hash.clone());
        }
        let hash = Loader::hash(plugin, path)?;
        if let Some(look) = look {
            hashes.insert(path.to_owned(), (look, hash.clone()));
        }
        Ok(hash)
    }

    /// Loads the library that `slot` names.
    ///
    /// # Errors
    /// It cannot be found, verified or loaded.
    pub(crate) async fn load(
        self: &Arc<Self>,
        profile: &Profile,
        module: Module,
        slot: &Slot,
    ) -> Result<Library, OpenError> {
        let mut options = LoadOptions::named(&slot.plugin);
        let source = profile.plugins.get(&slot.plugin);
        if let Some(sha256) = source.and_then(|source| source.sha256.as_ref()) {
            options = options.with_sha256(sha256);
        }
        let file = self.file(profile, slot);
        let opener = self.clone();
        let load = move || opener.loader.load(&file?, &options);
        let loaded = blocking::off(load).await;
        loaded.map_err(|error| failed(slot, module, error))
    }

    /// Opens an instance of a library.
    ///
    /// # Errors
    /// The plugin does not open.
    pub(crate) async fn open(
        &self,
        library: Library,
        settings: String,
    ) -> Result<Opened, LoadError> {
        let plugin = library.name().to_owned();
        let host = Host::new(
            &plugin,
            self.places.state.join("plugins").join(&plugin),
            self.places.logs(),
        );
        let instance = library.open(&settings, host, OPEN).await?;
        Ok(Opened {
            key: Key {
                plugin,
                settings,
                sha256: library.sha256().unwrap_or_default().to_owned(),
            },
            library,
            instance,
            left: Vec::new(),
        })
    }

    /// Loads what `slot` names and opens it with its settings.
    ///
    /// # Errors
    /// Those of [`Opener::load`] and [`Opener::open`].
    pub(crate) async fn load_and_open(
        self: &Arc<Self>,
        profile: &Profile,
        module: Module,
        slot: &Slot,
    ) -> Result<Opened, OpenError> {
        let library = self.load(profile, module, slot).await?;
        let opened = self.open(library, settings(slot)).await;
        opened.map_err(|error| failed(slot, module, error))
    }

    /// Removes copies of libraries that nobody has used for a while.
    pub(crate) async fn prune(self: &Arc<Self>, instances: &Instances) {
        let (opener, used) = (self.clone(), instances.hashes());
        let removed = blocking::off(move || opener.loader.prune(&used)).await;
        if removed > 0 {
            tracing::debug!(removed, "removed copies of plugins that nobody uses");
        }
    }

    /// The folders and files whose change may mean another library.
    pub(crate) fn watched(&self, profile: &Profile) -> Vec<PathBuf> {
        let named = profile.slots.values().map(|slot| self.file(profile, slot));
        let files = named.filter_map(Result::ok);
        self.places.search.iter().cloned().chain(files).collect()
    }

    /// The file of the plugin of `slot`.
    fn file(&self, profile: &Profile, slot: &Slot) -> Result<PathBuf, LoadError> {
        let source = profile.plugins.get(&slot.plugin);
        let path = source.and_then(|source| source.path.as_deref());
        self.loader.locate(&slot.plugin, path)
    }
}

/// The settings of a slot as a plugin takes them.
pub(crate) fn settings(slot: &Slot) -> String {
    serde_json::Value::Object(slot.settings.clone()).to_string()
}

/// The error of a plugin that cannot be loaded or opened: of the settings, if they are what is wrong,
/// else of the line that names the plugin.
pub(crate) fn failed(slot: &Slot, module: Module, source: LoadError) -> OpenError {
    match source {
        LoadError::Settings { problems, .. } => {
            let problems = problems.into_iter();
            let wrong = problems.map(|problem| slot.wrong(module, &problem.key, problem.message));
            OpenError::Settings {
                wrong: wrong.collect(),
            }
        }
        source => OpenError::Load {
            location: slot.locate("plugin"),
            module,
            source: Box::new(source),
        },
    }
}
