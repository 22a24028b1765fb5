//! Each module as the rest of the server has it: calls go to what is live, wait while that is
//! replaced, and streams move along.

mod blob;
mod broker;
mod changed;
mod cursor;
mod pending;
mod registry;
mod runtime;
mod store;
mod stream;

pub(crate) use blob::{BlobName, SwappableBlob};
pub(crate) use broker::SwappableBroker;
pub(crate) use changed::{Changed, FullKey};
pub(crate) use registry::{Leases, SwappableRegistry};
pub(crate) use runtime::SwappableRuntime;
pub(crate) use store::SwappableStore;
pub(crate) use stream::{Pending, SwappableStream};

use std::time::Duration;

use micro_plugin_api::Call;

/// How long a new instance may take to open one stream.
const RESUMING: Duration = Duration::from_secs(5);

/// The call that opens a stream on a new instance.
fn resuming() -> Call {
    Call::new("").with_timeout(RESUMING)
}
