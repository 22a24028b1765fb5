//! Finding, inspecting, verifying and loading plugin libraries.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use std::{path::Path, time::Duration};
//! use micro_loader::{LoadOptions, Loader, search_path};
//! use micro_plugin_api::Host;
//!
//! let loader = Loader::new(search_path(&[], Some(Path::new("/home/me"))), "/home/me/.micro/cache/plugins");
//! let file = loader.find("memory")?;
//! let library = loader.load(&file, &LoadOptions::named("memory"))?;
//! let host = Host::new("memory", "/var/lib/micro/memory", "/var/lib/micro/logs");
//! let instance = library.open("{}", host, Duration::from_secs(5)).await?;
//! let store = instance.store().ok_or("no store")?;
//! # drop(store);
//! instance.shutdown(Duration::from_secs(5)).await?;
//! # Ok(()) }
//! ```
//!
//! A library is looked at before any of its code runs: its metadata stands in an ELF section, and
//! what is opened in the end is a private copy that was hashed. An opened library is never
//! unloaded: its code, and values that it gave out, may still be in use anywhere.
//!
//! This is the only crate of the server that opens a library, or contains `unsafe`.

mod cache;
mod error;
mod explain;
mod find;
mod inspect;
mod instance;
mod library;
mod list;
mod stage;
mod verify;

pub use error::LoadError;
pub use find::search_path;
pub use instance::Instance;
pub use library::{Library, LoadOptions, Loader, Verified};
pub use list::Listed;
pub use micro_plugin_api::__abi::{Manifest, RunMode};

/// How long opening a plugin may take unless a caller says otherwise.
pub const OPEN_DEADLINE: std::time::Duration = std::time::Duration::from_secs(5);
