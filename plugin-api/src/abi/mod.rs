//! The stable ABI between host and plugin. Nobody but this crate and the loader looks in here.
//!
//! - `records` are the values that cross, `tables` the functions: a frozen root, and named
//!   interfaces (`micro.store/1`) that are asked for by name and checked for layout one by one.
//!   A shipped interface never changes; growth is a new name.
//! - `guard` contains panics and enters the right tokio, on every entry, poll and drop.
//! - `schema` reads what a plugin says of its settings.
//! - `plugin` is the side of the library: it turns an `impl Store` into the functions.
//! - `host` is the side of the server: it turns the functions into a `StoreHandle`.
//!
//! Nothing of tokio, tracing or std crosses but what `abi_stable` gives a fixed layout: each
//! library has its own copy of all of them.
#![allow(unsafe_code)]
// What is public here must be so for the code that `export_plugin!` expands to.
#![allow(missing_docs)]

mod broker_records;
mod buffer;
mod documents;
mod event_records;
mod guard;
pub mod host;
mod manifest;
pub mod plugin;
mod records;
pub mod schema;
mod store_records;
mod stream;
mod tables;
mod weight;

pub use manifest::{API_MAJOR, API_VERSION, Manifest, RunMode, SECTION, TARGET};
