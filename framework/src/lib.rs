//! Write a micro service in twenty lines: handlers, registration, credentials, and clients of the platform.

mod body;
pub mod client;
pub mod context;
pub mod env;
pub mod errors;

pub use client::{CallOptions, Client, ServiceChannel, client};
pub use context::Context;
pub use micro_wire as wire;
pub use micro_wire::Error;
pub use micro_wire::frame::MAX_MESSAGE;
pub use tonic::{Request, Response, Status, Streaming, async_trait};

// What generated code is written against (see `micro-framework-build`).
#[doc(hidden)]
pub use {prost, prost_types, tonic, tonic_prost};
