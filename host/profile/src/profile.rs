//! A resolved profile: the plugin and settings of each module, and where each was written.

use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc, time::Duration};

use serde_json::{Map, Value};

/// An infrastructure role that a plugin fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Module {
    /// Records.
    Store,
    /// Large values.
    Blob,
    /// Events, kept for a time.
    Stream,
    /// Messages to whoever listens at the time.
    Broker,
    /// Which services exist and where.
    Registry,
    /// Where services run.
    Runtime,
}

impl Module {
    /// Every module. They are closed in the reverse of this order.
    pub const ALL: [Self; 6] = [
        Self::Store,
        Self::Blob,
        Self::Stream,
        Self::Broker,
        Self::Registry,
        Self::Runtime,
    ];

    /// Those that a server cannot be without. What needs another one says so when it is asked for.
    pub const REQUIRED: [Self; 4] = [Self::Store, Self::Blob, Self::Registry, Self::Runtime];

    /// The word for it in a manifest.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Blob => "blob",
            Self::Stream => "stream",
            Self::Broker => "broker",
            Self::Registry => "registry",
            Self::Runtime => "runtime",
        }
    }

    pub(crate) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|module| module.as_str() == word)
    }
}

impl fmt::Display for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A line of a manifest. Prints as `FILE:LINE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The file; `built-in profile NAME` for one that is part of the binary.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// The choice for one module. Its `Debug` output names the settings and not their values, which
/// may be secret.
#[derive(Clone)]
pub struct Slot {
    /// The name of the plugin.
    pub plugin: String,
    /// Its settings, variables expanded.
    pub settings: Map<String, Value>,
    /// Where the slot begins.
    pub location: Location,
    /// The line of each setting by its dotted key (`tls.ca`, `endpoints`), and of `plugin`.
    pub(crate) lines: BTreeMap<String, usize>,
}

impl Slot {
    /// Where the setting of a dotted key (`endpoints`, `tls.ca`, or `plugin`) was written; of a
    /// key that is not there, where the closest thing around it was.
    pub fn locate(&self, key: &str) -> Location {
        let mut key = key;
        loop {
            if let Some(line) = self.lines.get(key) {
                return Location {
                    file: self.location.file.clone(),
                    line: *line,
                };
            }
            match key.rsplit_once(['.', '[']) {
                Some((outer, _)) => key = outer,
                None => return self.location.clone(),
            }
        }
    }

    /// Whether this was written at a place, or part of it.
    pub fn is_at(&self, place: &Location) -> bool {
        let mut lines = self.lines.values().chain([&self.location.line]);
        self.location.file == place.file && lines.any(|line| *line == place.line)
    }

    /// What is wrong with the setting of a dotted key, in the place of this module; with all of them,
    /// if the key is empty.
    pub fn wrong(&self, module: Module, key: &str, message: impl Into<String>) -> WrongSetting {
        WrongSetting {
            location: self.locate(key),
            key: match key {
                "" => module.to_string(),
                key => format!("{module}.{key}"),
            },
            message: message.into(),
        }
    }
}

/// A setting that a plugin does not take. Prints as one line: where, which, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongSetting {
    /// Where it was written, or what it is missing from.
    pub location: Location,
    /// Its dotted key, the module first.
    pub key: String,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for WrongSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.location, self.key, self.message)
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot")
            .field("plugin", &self.plugin)
            .field("settings", &self.settings.keys().collect::<Vec<_>>())
            .field("location", &self.location)
            .finish()
    }
}

/// Where the library of a plugin is, and what it must be: `[plugins.NAME]`.
#[derive(Clone, Debug)]
pub struct PluginSource {
    /// The library. A bare file name is looked up where plugins are; anything else that is
    /// relative stands below the folder of the manifest.
    pub path: Option<PathBuf>,
    /// The SHA-256 that the file must have, 64 lower-case hexadecimal digits.
    pub sha256: Option<String>,
    /// Where this was written.
    pub location: Location,
}

/// Where a server's signing keys come from, when its command line does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keys {
    /// A file of the user who runs the server, made at the first start.
    #[default]
    File,
    /// Made at boot and gone with the process: tokens do not outlive a restart.
    Memory,
    /// A record of the store, sealed under the config secret key: all servers over the store sign
    /// with the same.
    Store,
}

/// What a profile says of the server itself: `[server]`. A server begins with it, and keeps to it.
#[derive(Clone, Debug, Default)]
pub struct ServerSettings {
    /// `keys = "file"` (the default), `keys = "memory"` or `keys = "store"`.
    pub keys: Keys,
    /// `lease_seconds = 15`: other servers share the store, and one that has not been heard of for
    /// so long has its services taken over by another. Not set: this server has its store alone.
    pub lease: Option<Duration>,
    /// Where this was written, if it was.
    pub location: Option<Location>,
}

impl ServerSettings {
    /// Whether a server would be another one with these, wherever they are written.
    pub fn is_like(&self, other: &Self) -> bool {
        self.keys == other.keys && self.lease == other.lease
    }
}

/// A profile, with everything that it extends.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The name or path that was asked for.
    pub name: String,
    /// The manifests it is made of: itself first, then what it extends.
    pub files: Vec<Arc<str>>,
    /// Where those of them that are files are: as they were named, and where links lead to.
    pub paths: Vec<PathBuf>,
    /// The choice for each module that has one.
    pub slots: BTreeMap<Module, Slot>,
    /// What is said of plugins, by name.
    pub plugins: BTreeMap<String, PluginSource>,
    /// What is said of the server itself.
    pub server: ServerSettings,
}
