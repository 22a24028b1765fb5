//! The memory plugin: store, blob, broker, stream and registry, which live in the server process and
//! end with it.
//!
//! Nothing in it blocks, so its calls run on the caller's thread.

mod blob;
mod broker;
mod lock;
mod registry;
mod settings;
mod store;
mod stream;

pub use blob::MemoryBlob;
pub use broker::MemoryBroker;
pub use registry::MemoryRegistry;
pub use settings::Settings;
pub use store::MemoryStore;
pub use stream::MemoryStream;

use micro_plugin_api::{Host, Result, export_plugin};

export_plugin! {
    name: "memory",
    store: open_store,
    blob: open_blob,
    stream: open_stream,
    broker: open_broker,
    registry: open_registry,
    run = inline,
}

fn open_store(_: Settings, _: Host) -> Result<MemoryStore> {
    Ok(MemoryStore::new())
}

fn open_blob(_: Settings, _: Host) -> Result<MemoryBlob> {
    Ok(MemoryBlob::new())
}

fn open_broker(_: Settings, _: Host) -> Result<MemoryBroker> {
    Ok(MemoryBroker::new())
}

fn open_stream(settings: Settings, _: Host) -> Result<MemoryStream> {
    Ok(MemoryStream::new(&settings))
}

fn open_registry(_: Settings, _: Host) -> Result<MemoryRegistry> {
    Ok(MemoryRegistry::new())
}
