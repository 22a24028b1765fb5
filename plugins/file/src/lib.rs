//! The file plugin: modules that keep what they hold in a folder of this machine, on disk when
//! acknowledged.
//!
//! One process owns the folder. All modules of all instances in that process share it; see
//! [`Directory`].

mod blob;
mod directory;
mod settings;
mod space;
mod store;
mod stream;

pub use blob::FileBlob;
pub use directory::Directory;
pub use settings::Settings;
pub use store::FileStore;
pub use stream::FileStream;

use micro_plugin_api::export_plugin;

export_plugin! {
    name: "file",
    store: FileStore::open,
    blob: FileBlob::open,
    stream: FileStream::open,
    run = inline,
    exclusive = true,
    promises = ["store.durable", "blob.durable", "stream.durable"],
}
