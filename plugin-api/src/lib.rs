//! The contract between the micro server and its plugins.
//!
//! A plugin author implements one or more of the module traits ([`Store`], [`Blob`], [`Registry`],
//! [`Runtime`]) as plain async Rust and exports them with [`export_plugin!`]. The host calls the
//! matching handle ([`StoreHandle`], …), which has the same methods and is made either from any
//! implementation in the same program or from a loaded library. The stable ABI between the two
//! lives in `abi` and shows in no signature here.

// For the code that `export_plugin!` expands to and for the server's loader; nobody else's.
#[doc(hidden)]
#[path = "abi/mod.rs"]
pub mod __abi;
pub mod blob;
mod call;
mod error;
mod export;
mod host;
pub mod prelude;
pub mod registry;
pub mod runtime;
mod settings;
pub mod store;
mod stream;

use __abi as abi;
pub use abi::plugin::Plugin;

pub use blob::{Blob, BlobHandle};
pub use call::{Call, TraceContext};
pub use error::{Code, Error, Result};
pub use host::Host;
pub use registry::{Registry, RegistryHandle};
pub use runtime::{Runtime, RuntimeHandle};
pub use settings::{NoSettings, Secret};
pub use store::{Store, StoreHandle};
pub use stream::{BoxFuture, BoxStream, ByteStream};

// What appears in the signatures above, so that an author needs no second dependency for it.
pub use bytes::Bytes;
