//! From a file to a library whose interfaces were checked.
#![allow(unsafe_code)]

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use libloading::os::unix::{Library as System, RTLD_LOCAL, RTLD_NOW};
use micro_plugin_api::{
    __abi::{
        Manifest,
        host::{Connection, symbol},
    },
    Host, Plugin,
};
use serde_json::Value;

use crate::{
    Instance, Listed, LoadError, cache, explain, find, inspect, instance, list,
    stage::{self, Staged},
    verify,
};

/// Finds and loads plugins.
#[derive(Clone, Debug)]
pub struct Loader {
    folders: Vec<PathBuf>,
    cache: PathBuf,
}

/// How to load one library.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// What to call the plugin in errors and logs; that of its file if `None`.
    pub name: Option<String>,
    /// The SHA-256 that the file must have, in hexadecimal of either case.
    pub sha256: Option<String>,
}

impl LoadOptions {
    /// Nothing but the name.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: Some(name.into()),
            sha256: None,
        }
    }

    /// The same options, with the hash that the file must have.
    #[must_use]
    pub fn with_sha256(mut self, sha256: impl Into<String>) -> Self {
        self.sha256 = Some(sha256.into());
        self
    }
}

/// A library that may be loaded.
#[derive(Clone, Debug)]
pub struct Verified {
    /// What the plugin is called here.
    pub name: String,
    /// What it says of itself.
    pub manifest: Manifest,
    /// The SHA-256 of the file, in lower-case hexadecimal.
    pub sha256: String,
}

impl Loader {
    /// A loader that looks in `folders` in order ([`crate::search_path`] has the usual ones) and
    /// keeps its copies in `cache`, which is made if it is not there.
    pub fn new(folders: Vec<PathBuf>, cache: impl Into<PathBuf>) -> Self {
        Self {
            folders,
            cache: cache.into(),
        }
    }

    /// The library of the plugin `name`: `libmicro_NAME.so`, else `libNAME.so`, in the first
    /// folder that has either.
    pub fn find(&self, name: &str) -> Result<PathBuf, LoadError> {
        find::find(name, &self.folders)
    }

    /// The library of the plugin `name` where a profile may say which: as [`Loader::find`] if
    /// `path` is `None`; a bare file name is looked up in the folders. If that is nowhere, it is
    /// given back as it was written, for the error that comes of loading it.
    pub fn locate(&self, name: &str, path: Option<&Path>) -> Result<PathBuf, LoadError> {
        let Some(path) = path else {
            return self.find(name);
        };
        if path.components().count() > 1 {
            return Ok(path.to_owned());
        }
        let mut places = self.folders.iter().map(|folder| folder.join(path));
        Ok(places
            .find(|path| path.exists())
            .unwrap_or_else(|| path.to_owned()))
    }

    /// Every library in the folders that is a plugin or claims to be one by its name, in the order
    /// of the search. None of their code runs.
    pub fn list(&self) -> Vec<Listed> {
        list::list(&self.folders)
    }

    /// Checks all that [`Loader::load`] checks of the library at `path`, and runs none of its
    /// code.
    pub fn verify(path: &Path, options: &LoadOptions) -> Result<Verified, LoadError> {
        let name = options.name.clone().unwrap_or_else(|| find::name_of(path));
        let manifest = inspect::inspect(&name, path)?;
        verify::manifest(&name, &manifest)?;
        verify::owners(&name, path)?;
        let sha256 = stage::sha256(&name, path, options.sha256.as_deref())?;
        Ok(Verified {
            name,
            manifest,
            sha256,
        })
    }

    /// What the library at `path` says of itself. None of its code runs, and neither its owner
    /// nor whether it fits this server is checked.
    pub fn inspect(path: &Path) -> Result<Manifest, LoadError> {
        inspect::inspect(&find::name_of(path), path)
    }

    /// The SHA-256 of the file at `path` as it is now, in lower-case hexadecimal. `plugin` is what
    /// an error calls it.
    pub fn hash(plugin: &str, path: &Path) -> Result<String, LoadError> {
        stage::sha256(plugin, path, None)
    }

    /// Removes the copies that nobody has loaded for an hour, but those with the hashes in `used`;
    /// tells how many. None is removed that is about to be opened, by whichever process.
    pub fn prune(&self, used: &BTreeSet<String>) -> usize {
        cache::prune(&self.cache, used)
    }

    /// Loads the library at `path`, after all that can be checked without running it was.
    pub fn load(&self, path: &Path, options: &LoadOptions) -> Result<Library, LoadError> {
        let name = options.name.clone().unwrap_or_else(|| find::name_of(path));
        verify::manifest(&name, &inspect::inspect(&name, path)?)?;
        verify::owners(&name, path)?;
        let staged = stage::stage(&name, path, &self.cache, options.sha256.as_deref())?;
        // What counts is what the copy says: the file may have changed in between.
        let manifest = inspect::inspect(&name, &staged.path)?;
        verify::manifest(&name, &manifest)?;
        let connection = open(&name, &manifest, &staged)?;
        tracing::debug!(
            plugin = name,
            version = manifest.version,
            sha256 = staged.sha256,
            path = %path.display(),
            "loaded a plugin"
        );
        Ok(Library {
            name,
            manifest,
            sha256: Some(staged.sha256),
            connection,
        })
    }
}

/// Which hash each opened library has, by the address of its symbol.
static OPENED: Mutex<Option<HashMap<usize, String>>> = Mutex::new(None);

fn open(plugin: &str, manifest: &Manifest, staged: &Staged) -> Result<Connection, LoadError> {
    let system = |error: libloading::Error| LoadError::System {
        plugin: plugin.to_owned(),
        reason: one_line(&error),
    };
    let abi = |reason: String| LoadError::Abi {
        plugin: plugin.to_owned(),
        reason,
    };
    // SAFETY: opening runs the library's initialisers. It is trusted code by the checks above: a
    // whole ELF file, nobody else's, built for this machine by export_plugin!.
    let library =
        unsafe { System::open(Some(&staged.path), RTLD_NOW | RTLD_LOCAL) }.map_err(system)?;
    // SAFETY: the address is not used as more than an address here.
    let address = unsafe { library.get::<*const ()>(symbol(&manifest.name).as_bytes()) }
        .map(|symbol| symbol.as_raw_ptr().cast_const().cast::<()>());
    // Never unloaded: threads, values and wakers of it may be anywhere.
    std::mem::forget(library);
    let address = address.map_err(|_| LoadError::NotPlugin {
        plugin: plugin.to_owned(),
        path: staged.path.clone(),
        reason: format!("it exports no symbol {}", symbol(&manifest.name)),
    })?;
    {
        let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        let hash = opened
            .get_or_insert_default()
            .entry(address as usize)
            .or_insert_with(|| staged.sha256.clone());
        if *hash != staged.sha256 {
            return Err(abi(
                "the system gave other, older code in its place; restart the server".to_owned(),
            ));
        }
    }
    // SAFETY: it is the symbol of a library that export_plugin! made, and that stays mapped.
    unsafe { Connection::from_symbol(address) }.map_err(abi)
}

fn one_line(error: &libloading::Error) -> String {
    let text =
        std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    text.lines().collect::<Vec<_>>().join(" ")
}

/// A loaded library, or a plugin that is linked into this program. It stays for ever.
#[derive(Clone)]
pub struct Library {
    name: String,
    manifest: Manifest,
    sha256: Option<String>,
    connection: Connection,
}

impl std::fmt::Debug for Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Library")
            .field("name", &self.name)
            .field("sha256", &self.sha256)
            .finish_non_exhaustive()
    }
}

impl Library {
    /// A plugin that is linked into this program, opened by the very same path.
    pub fn linked(plugin: &'static Plugin) -> Result<Self, LoadError> {
        let connection = Connection::linked(plugin).map_err(|reason| LoadError::Abi {
            plugin: "(linked)".to_owned(),
            reason,
        })?;
        let manifest: Manifest =
            serde_json::from_str(&connection.metadata()).map_err(|error| LoadError::Abi {
                plugin: "(linked)".to_owned(),
                reason: format!("its metadata cannot be read: {error}"),
            })?;
        Ok(Self {
            name: manifest.name.clone(),
            manifest,
            sha256: None,
            connection,
        })
    }

    /// What the plugin is called here.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the plugin says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The SHA-256 of the file, in lower-case hexadecimal; `None` if it is linked.
    pub fn sha256(&self) -> Option<&str> {
        self.sha256.as_deref()
    }

    /// The JSON schema of the plugin's settings. Runs code of the plugin.
    pub fn settings_schema(&self) -> Value {
        serde_json::from_str::<Value>(&self.connection.metadata())
            .map(|mut metadata| metadata["settings"].take())
            .unwrap_or_default()
    }

    /// Opens an instance with settings as JSON text, on a thread of its own. If it is not open
    /// within `deadline`, that is an error, and it is shut down once it is open.
    ///
    /// Needs to be called within a tokio runtime.
    pub async fn open(
        &self,
        settings: &str,
        host: Host,
        deadline: Duration,
    ) -> Result<Instance, LoadError> {
        let opened = instance::open(
            &self.name,
            self.connection,
            settings.to_owned(),
            host,
            deadline,
        );
        opened
            .await
            .map_err(|error| explain::explain(error, &self.settings_schema(), settings))
    }
}
