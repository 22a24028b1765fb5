//! The NATS plugin: a broker on core NATS, and a stream on JetStream, which is NATS with a disk.
//!
//! Each module has a connection of its own, which outlives the server: it opens while NATS is down
//! and comes back by itself. Nothing waits in a client's buffer for a server that is not there.

mod broker;
mod connection;
mod settings;
mod stream;
mod subject;

pub use broker::NatsBroker;
pub use settings::{Settings, Urls};
pub use stream::NatsStream;

use micro_plugin_api::export_plugin;

export_plugin! {
    name: "nats",
    broker: NatsBroker::open,
    stream: NatsStream::open,
    promises = ["broker.shared", "stream.durable", "stream.shared"],
    run = inline,
}
