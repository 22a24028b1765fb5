//! The contract between the micro server and its plugins.
//!
//! A plugin author implements one or more of the module traits ([`Store`], [`Blob`], [`Registry`],
//! [`Runtime`], [`Stream`]) as plain async Rust and exports them with [`export_plugin!`]. The host calls the
//! matching handle ([`StoreHandle`], …), which has the same methods and is made either from any
//! implementation in the same program or from a loaded library. The stable ABI between the two
//! shows in no signature here.
//!
//! # A plugin, whole
//!
//! The manifest: a library of type `cdylib` (and `rlib`, if its own tests or another program link
//! it), which depends on this crate, and on `serde` and `schemars` because their derive macros
//! write paths into them.
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib", "rlib"]
//!
//! [dependencies]
//! micro-plugin-api = "3"
//! schemars = "1"
//! serde = { version = "1", features = ["derive"] }
//! ```
//!
//! The code, a store that reads files of a folder:
//!
//! ```
//! use std::path::PathBuf;
//! use micro_plugin_api::prelude::*;
//!
//! /// Where the notes are.
//! #[derive(Deserialize, JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Settings {
//!     /// The folder; one of the server's if not said.
//!     path: Option<PathBuf>,
//!     /// Never shown, neither by the host nor by an error.
//!     #[serde(default)]
//!     token: Secret,
//! }
//!
//! struct Notes { folder: PathBuf }
//!
//! impl Notes {
//!     // May be `async` as well. What it needs of the settings it checks here.
//!     fn open(settings: Settings, host: Host) -> Result<Self> {
//!         let _authorization = settings.token.reveal();
//!         let folder = settings.path.unwrap_or_else(|| host.state_dir().to_owned());
//!         Ok(Self { folder })
//!     }
//! }
//!
//! impl Store for Notes {
//!     async fn read(&self, _call: &Call, _table: Table<'_>, key: &str) -> Result<Option<Record>> {
//!         let file = self.folder.join(key);
//!         // Blocking is fine: calls run on the plugin's own runtime unless it says otherwise.
//!         match std::fs::read(&file) {
//!             Ok(value) => Ok(Some(Record {
//!                 key: key.to_owned(),
//!                 value: value.into(),
//!                 metadata: Default::default(),
//!                 version: Version(1),
//!                 expiry: None,
//!             })),
//!             Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
//!             Err(error) => Err(Error::unavailable(format!("{}: {error}", file.display()))),
//!         }
//!     }
//!
//!     async fn list(&self, _: &Call, _: Table<'_>, _: &ListQuery<'_>) -> Result<Page> {
//!         Err(Error::unsupported("notes cannot be listed"))
//!     }
//!
//!     async fn commit(&self, _: &Call, _: &Commit) -> Result<Version> {
//!         Err(Error::unsupported("notes are read-only"))
//!     }
//!
//!     async fn databases(&self, _: &Call) -> Result<Vec<String>> {
//!         Ok(Vec::new())
//!     }
//!
//!     async fn tables(&self, _: &Call, _database: &str) -> Result<Vec<String>> {
//!         Ok(Vec::new())
//!     }
//! }
//!
//! export_plugin! { name: "notes", store: Notes::open }
//!
//! # fn main() {
//! // The same value, statically: how a plugin's own tests call it.
//! let host = Host::new("notes", "/var/lib/notes", "/var/lib/logs");
//! let settings = Settings { path: None, token: Secret::new("s") };
//! let store = micro_plugin_api::StoreHandle::new(Notes::open(settings, host).unwrap());
//! # drop(store);
//! # }
//! ```
//!
//! # What a plugin may rely on
//!
//! - It has a tokio runtime of its own, with one worker. All its code runs within it: calls,
//!   drops of futures and streams, its constructor and its drop.
//! - Calls run on that runtime (`run = hop`), where they may block, or on the thread of whoever
//!   calls (`run = inline`), where they must not. A hop that is dropped is aborted if it is a read
//!   and goes on until the call's deadline if it is a write; a blob's write is cancelled.
//! - A panic fails the one call and is logged. Not containable are `abort`, a stack overflow and
//!   a panic during a panic: they end the server. A plugin is trusted code.
//! - Events of `tracing` and `log` and the messages of panics are in the server's log, with the
//!   plugin's name. Spans are not.

// For the code that `export_plugin!` expands to and for the server's loader; nobody else's.
#[doc(hidden)]
#[path = "abi/mod.rs"]
pub mod __abi;
mod backoff;
pub mod blob;
mod boxed;
pub mod broker;
mod call;
mod capabilities;
mod clock;
mod error;
mod export;
mod host;
pub mod prelude;
pub mod registry;
pub mod runtime;
mod settings;
pub mod store;
pub mod stream;
pub mod userinfo;

use __abi as abi;
pub use abi::plugin::Plugin;

pub use backoff::Backoff;
pub use blob::{Blob, BlobHandle};
pub use boxed::{BoxFuture, BoxStream, ByteStream};
pub use broker::{Broker, BrokerHandle};
pub use call::{Call, TraceContext};
pub use capabilities::Capabilities;
pub use error::{Code, Error, Result};
pub use host::Host;
pub use registry::{Registry, RegistryHandle};
pub use runtime::{Runtime, RuntimeHandle};
pub use settings::{NoSettings, Secret};
pub use store::{Store, StoreHandle};
pub use stream::{Stream, StreamHandle};

// What appears in the signatures above, so that an author needs no second dependency for it.
pub use bytes::Bytes;
