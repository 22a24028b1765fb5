//! End-to-end tests of the real binary, with the harness that starts real components.
//!
//! [`Server`] is a `micro server` in a home folder of its own, on free ports; [`Server::micro`]
//! runs the command line against it. Programs are the ones beside the test's: `cargo xtask test`
//! builds them first.

mod author;
mod backends;
pub mod callers;
pub mod grpc;
mod hop;
mod http;
mod in_process;
mod observed;
mod process;
mod server;
mod tour;
mod transcript;
mod wait;

pub use author::{Author, author_plugin};
pub use http::{Answer, fetch};
pub use in_process::{Core, Door, call_json};
pub use observed::ObservedStore;
pub use process::{Ran, Running, environment, program};
pub use server::{BUILD_PATIENCE, Server, ServerBuilder, example, profile};
pub use tour::tour;
pub use transcript::assert_shows;
pub use wait::{PATIENCE, wait_for};
