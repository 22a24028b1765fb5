//! From a library's one symbol to an opened instance.

use std::sync::Arc;

use abi_stable::library::{AbiHeaderRef, LibHeader, LibraryError};

use super::{blob, broker, documents, events, link::Link, logs, store};
use crate::{
    BlobHandle, BrokerHandle, Capabilities, Error, Host, RegistryHandle, Result, RuntimeHandle,
    StoreHandle, StreamHandle,
    abi::{
        manifest::Manifest,
        plugin::{HostDocument, Plugin},
        tables::{
            self, BlobTable, BrokerTable, DocumentTable, Interface, PluginTable, RootRef,
            StoreTable, StoreWatchTable, StreamTable,
        },
    },
};

/// Why a library cannot be used although it is one: half a sentence about it.
pub type Problem = String;

/// A library whose root and interfaces were checked. It stays mapped for ever.
#[derive(Clone, Copy)]
pub struct Connection {
    root: RootRef,
    plugin: &'static PluginTable,
    store: Option<&'static StoreTable>,
    store_watch: Option<&'static StoreWatchTable>,
    blob: Option<&'static BlobTable>,
    stream: Option<&'static StreamTable>,
    broker: Option<&'static BrokerTable>,
    registry: Option<&'static DocumentTable>,
    runtime: Option<&'static DocumentTable>,
}

/// The symbol that the library of the plugin `name` exports.
pub fn symbol(name: &str) -> String {
    format!("micro_plugin_1__{name}")
}

impl Connection {
    /// Connects to the library that exports the symbol at `address`.
    ///
    /// # Safety
    /// `address` must be that of the symbol [`symbol`] of a library made by `export_plugin!`,
    /// which is never unloaded.
    pub unsafe fn from_symbol(address: *const ()) -> Result<Self, Problem> {
        if address.is_null() {
            return Err("its symbol has no address".to_owned());
        }
        // SAFETY: `AbiHeaderRef` is a transparent reference, and the symbol begins with an
        // `AbiHeader`, as the caller promises. It is checked before anything behind it is read.
        let header: AbiHeaderRef = unsafe { std::mem::transmute(address) };
        Self::new(header.upgrade().map_err(short)?)
    }

    /// Connects to a plugin that is linked into this program.
    pub fn linked(plugin: &'static Plugin) -> Result<Self, Problem> {
        Self::new(plugin.header())
    }

    fn new(header: &'static LibHeader) -> Result<Self, Problem> {
        let root = header.init_root_module::<RootRef>().map_err(short)?;
        Ok(Self {
            root,
            plugin: interface::<PluginTable>(root, PluginTable::NAME)?
                .ok_or_else(|| format!("it has no {}", PluginTable::NAME))?,
            store: interface(root, StoreTable::NAME)?,
            store_watch: interface(root, StoreWatchTable::NAME)?,
            blob: interface(root, BlobTable::NAME)?,
            stream: interface(root, StreamTable::NAME)?,
            broker: interface(root, BrokerTable::NAME)?,
            registry: interface(root, tables::REGISTRY)?,
            runtime: interface(root, tables::RUNTIME)?,
        })
    }

    /// The plugin's metadata as JSON, with the schema of its settings under `settings`.
    pub fn metadata(&self) -> String {
        (self.root.metadata())().into_string()
    }

    /// Opens an instance with settings as JSON text. Blocks for as long as the plugin takes.
    pub fn open(&self, settings: &str, host: &Host) -> Result<Opened> {
        let path = |path: &std::path::Path| {
            path.to_str()
                .map(str::to_owned)
                .ok_or_else(|| Error::invalid(format!("the path {} is not UTF-8", path.display())))
        };
        let document = serde_json::to_string(&HostDocument {
            plugin: host.plugin().to_owned(),
            state_dir: path(host.state_dir())?,
            logs_dir: path(host.logs_dir())?,
        })
        .map_err(|error| Error::internal(error.to_string()))?;
        let opened =
            (self.plugin.open)(settings.into(), document.as_str().into(), logs::services())
                .into_result()
                .map_err(Error::from)?;
        Ok(Opened {
            link: Arc::new(Link::new(host.plugin().to_owned(), opened)),
            connection: *self,
        })
    }
}

impl Plugin {
    /// What the plugin declares of itself, for the conformance suites in its own tests.
    pub fn capabilities(&'static self) -> Capabilities {
        let connected = Connection::linked(self).ok();
        let manifest = connected.and_then(|it| serde_json::from_str(&it.metadata()).ok());
        // `export_plugin!` wrote it and was checked at build time: there is nothing to fail.
        manifest.map_or_else(Capabilities::default, |it: Manifest| it.capabilities)
    }
}

fn interface<T: Interface>(root: RootRef, name: &str) -> Result<Option<&'static T>, Problem> {
    (root.query())(name.into())
        .into_option()
        .map(|record| record.check::<T>())
        .transpose()
}

/// One line of an error that may have thousands.
fn short(error: LibraryError) -> Problem {
    match error {
        LibraryError::InvalidAbiHeader(_) => "it was built with another ABI library",
        LibraryError::InvalidCAbi { .. } => "it was built for another C ABI",
        LibraryError::IncompatibleVersionNumber { .. }
        | LibraryError::ParseVersionError(_)
        | LibraryError::AbiInstability(_) => "the root of its ABI is another one",
        _ => "its root cannot be made",
    }
    .to_owned()
}

/// An opened instance. It is dropped with the last handle and stream of it.
#[derive(Clone)]
pub struct Opened {
    link: Arc<Link>,
    connection: Connection,
}

impl Opened {
    /// Its store, if it has one.
    pub fn store(&self) -> Option<StoreHandle> {
        let (link, table) = (self.link.clone(), self.connection.store?);
        Some(StoreHandle::from_dyn(Arc::new(store::Client {
            link,
            table,
            watch: self.connection.store_watch,
        })))
    }

    /// Its blob store, if it has one.
    pub fn blob(&self) -> Option<BlobHandle> {
        let (link, table) = (self.link.clone(), self.connection.blob?);
        Some(BlobHandle::from_dyn(Arc::new(blob::Client { link, table })))
    }

    /// Its stream, if it has one.
    pub fn stream(&self) -> Option<StreamHandle> {
        let (link, table) = (self.link.clone(), self.connection.stream?);
        Some(StreamHandle::from_dyn(Arc::new(events::Client {
            link,
            table,
        })))
    }

    /// Its broker, if it has one.
    pub fn broker(&self) -> Option<BrokerHandle> {
        let (link, table) = (self.link.clone(), self.connection.broker?);
        Some(BrokerHandle::from_dyn(Arc::new(broker::Client {
            link,
            table,
        })))
    }

    /// Its registry, if it has one.
    pub fn registry(&self) -> Option<RegistryHandle> {
        let (link, table) = (self.link.clone(), self.connection.registry?);
        Some(RegistryHandle::from_dyn(Arc::new(documents::Client {
            link,
            table,
        })))
    }

    /// Its runtime, if it has one.
    pub fn runtime(&self) -> Option<RuntimeHandle> {
        let (link, table) = (self.link.clone(), self.connection.runtime?);
        Some(RuntimeHandle::from_dyn(Arc::new(documents::Client {
            link,
            table,
        })))
    }

    /// How often the plugin panicked in this instance.
    pub fn panics(&self) -> u64 {
        self.link.panics()
    }
}
