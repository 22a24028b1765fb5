//! The etcd plugin: store and registry in an etcd cluster, which all servers with the same endpoints
//! and prefix share.
//!
//! What is promised, and by what of etcd:
//! - A commit that is acknowledged is in the raft log of a majority of members, synced to their
//!   disks (unless etcd itself was started with `--unsafe-no-fsync`).
//! - Reads, lists and preconditions are linearizable: they go through the leader, and see every
//!   commit that was acknowledged before, by whichever server.
//! - A commit is one transaction of etcd. When its answer is lost the error says so, and the commit
//!   is not sent again: it happened once or not at all.
//! - Expiry is decided by the clocks of those who read, to the millisecond. Leases of etcd give the
//!   space back a while later.
//! - etcd takes 1.5 MiB in one request unless it is told otherwise (`--max-request-bytes`); a commit
//!   beyond that is `invalid`.

mod client;
mod feed;
mod leases;
mod names;
mod registry;
mod settings;
mod store;

pub use registry::EtcdRegistry;
pub use settings::Settings;
pub use store::EtcdStore;

use micro_plugin_api::export_plugin;

export_plugin! {
    name: "etcd",
    store: EtcdStore::open,
    registry: EtcdRegistry::open,
    promises = ["store.durable", "store.shared", "registry.shared"],
}
