//! The library's side: an `impl Store` and its siblings become the functions of the tables.

mod blob;
mod broker;
mod checks;
mod describe;
mod documents;
mod events;
mod instance;
mod logs;
mod open;
mod run;
mod settings;
mod store;
mod voices;

pub use checks::{check_capabilities, check_methods};
pub use describe::{Exported, Facts, Plugin, json_length, json_write};
pub use instance::Method;
pub(crate) use open::HostDocument;
pub use open::{Opener, Opening};
pub use settings::schema_of;

/// What a schema is written in.
pub type Json = serde_json::Value;
