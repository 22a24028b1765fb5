//! Write a micro service in twenty lines: handlers, registration, credentials, and clients of the platform.
//!
//! ```text
//! use micro::{Request, Response, Status};
//!
//! mod proto { micro::include_proto!("helloworld"); }
//! use proto::{CallRequest, CallResponse, helloworld_server::{Helloworld, HelloworldServer}};
//!
//! struct Greeter;
//!
//! #[micro::async_trait]
//! impl Helloworld for Greeter {
//!     async fn call(&self, request: Request<CallRequest>) -> Result<Response<CallResponse>, Status> {
//!         let msg = format!("Hello {}", request.get_ref().name);
//!         Ok(Response::new(CallResponse { msg }))
//!     }
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     micro::Service::new("helloworld")
//!         .handler(HelloworldServer::new(Greeter), proto::DESCRIPTORS)
//!         .run()
//! }
//! ```
//!
//! `micro run` builds it, gives it its environment and account, and shows whether it answers. Other
//! services are called with [`client()`], errors are answered with [`errors`], and [`store`],
//! [`blob`], [`config`], [`events`], [`registry`], [`auth`] and [`runtime`] are the platform's own services.

pub mod auth;
pub mod blob;
mod body;
pub mod broker;
pub mod client;
pub mod config;
pub mod context;
pub mod env;
pub mod errors;
pub mod events;
pub mod logger;
mod macros;
pub mod metadata;
pub mod registry;
pub mod runtime;
mod service;
pub mod store;

pub use client::{CallOptions, Client, ServiceChannel, client};
pub use context::Context;
pub use futures;
pub use micro_wire as wire;
pub use micro_wire::{Error, frame::MAX_MESSAGE};
pub use service::{Service, ServiceError};
pub use tonic::{Request, Response, Status, Streaming, async_trait};

/// What a handler that streams its answer returns: `Ok(Response::new(Box::pin(stream)))`.
pub type ResponseStream<T> =
    std::pin::Pin<Box<dyn futures::Stream<Item = Result<T, Status>> + Send + 'static>>;

// What generated code is written against (see `micro-framework-build`).
#[doc(hidden)]
pub use {prost, prost_types, tonic, tonic_prost};
