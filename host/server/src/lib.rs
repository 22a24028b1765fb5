//! Boot, serve, drain: puts a server together from a resolved profile.

mod addresses;
mod config;
mod error;
mod listen;
mod log;
mod registration;
mod signals;
mod state;

pub use addresses::Addresses;
pub use config::{DEFAULT_GRACE, ServerConfig};
pub use error::ServerError;
