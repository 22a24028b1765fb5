//! The memory plugin: store, blob and registry that live in the server process and end with it.

mod blob;
mod cursor;
mod lock;
mod registry;
mod settings;
mod store;

pub use blob::MemoryBlob;
pub use registry::MemoryRegistry;
pub use settings::Settings;
pub use store::MemoryStore;
