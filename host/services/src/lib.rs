//! The core services of the platform, each written over modules.
//!
//! A core service is a folder `src/NAME/` whose `handlers(&Platform)` gives its tonic services as
//! one [`micro_wire::Handlers`], and has a line in [`CoreServices::new`], which puts the folders together, answers calls to them
//! in process and says what the registry is told of them. Every handler takes the caller, the
//! namespace and the circumstances of a call from [`request`] and turns the errors of modules into
//! those of the wire with [`error`].

mod auth;
mod broker;
mod config;
mod core;
mod debug;
mod error;
mod events;
mod guard;
mod profile;
mod records;
mod registry;
mod request;
mod runtime;
mod store;

pub use crate::core::{CoreServices, Platform, ServiceHealth};
pub use crate::runtime::{Manager, RuntimeConfig};
pub use micro_builder::Toolchain;
