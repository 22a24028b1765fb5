//! The memory plugin: store, blob, broker and registry that live in the server process and end with it.
//!
//! It has no settings, and nothing in it blocks, so its calls run on the caller's thread.

mod blob;
mod broker;
mod lock;
mod registry;
mod store;

pub use blob::MemoryBlob;
pub use broker::MemoryBroker;
pub use registry::MemoryRegistry;
pub use store::MemoryStore;

use micro_plugin_api::{Host, NoSettings, Result, export_plugin};

export_plugin! {
    name: "memory",
    store: open_store,
    blob: open_blob,
    broker: open_broker,
    registry: open_registry,
    run = inline,
}

fn open_store(_: NoSettings, _: Host) -> Result<MemoryStore> {
    Ok(MemoryStore::new())
}

fn open_blob(_: NoSettings, _: Host) -> Result<MemoryBlob> {
    Ok(MemoryBlob::new())
}

fn open_broker(_: NoSettings, _: Host) -> Result<MemoryBroker> {
    Ok(MemoryBroker::new())
}

fn open_registry(_: NoSettings, _: Host) -> Result<MemoryRegistry> {
    Ok(MemoryRegistry::new())
}
