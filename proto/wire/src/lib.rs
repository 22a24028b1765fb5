//! What every door and service agrees on: paths, metadata, the one error, and JSON spoken over protobuf services.

pub mod echo;
pub mod error;
pub mod frame;
pub mod handlers;
pub mod json;
pub mod metadata;
pub mod path;
pub mod schema;

pub use echo::{clipped, shown};
pub use error::Error;
pub use handlers::Handlers;
