//! The postgres plugin: store and blob in PostgreSQL, which several servers may share.
//!
//! # What is promised
//!
//! - **Durability.** Every session runs with `synchronous_commit = on`: what is acknowledged is on
//!   the server's disk, and on its synchronous standbys if it has any. A server that runs with
//!   `fsync = off`, or a failover to an asynchronous standby, loses what these lose.
//! - **Commits.** A commit is one transaction, `READ COMMITTED`, that begins by locking the one
//!   row of the table `clock`. So commits of all servers happen one after another, each decides on
//!   what the one before left, and their versions, which that row counts, are in the order of the
//!   commits. To make up for the lock, commits that wait together in a server share a transaction
//!   (and its sync) while each keeps a version of its own.
//! - **No commit twice.** When the connection breaks during `COMMIT`, the next one waits for the
//!   lock, behind which the broken transaction is over, and looks whether it happened.
//! - **Expiry** is compared with the database's clock, in the query: one clock for all servers.
//!   Rows are collected later, a bounded number at a time.
//! - **Watches** read a log of changes that commits write along, every [`Settings::watch_interval`]
//!   and after each commit of this server. The log is kept for ten minutes: a server that was cut
//!   off for longer is told to watch and list again.
//! - **Blobs** are rows of 256 KiB, written as they come under a name of their own; one transaction
//!   at the end makes them the blob. What was replaced stays readable for an hour to those who
//!   read it.
//! - **Deadlines.** A call ends by its deadline whatever the server does. A connection whose call
//!   did not end well, or was dropped, is closed and never used again.
//! - **An outage.** A server that is down at the start is no error: tables are made at the first
//!   connection. Calls fail with `unavailable` until it answers.
//!
//! # CockroachDB
//!
//! It speaks the same protocol, and nothing is used that it is documented to lack: no
//! `LISTEN`/`NOTIFY` (watches poll), no advisory locks (migrations and commits lock rows), no
//! sequences. It is not among the tested databases. There a `READ COMMITTED` transaction may run
//! as `SERIALIZABLE`, whose failures are retried here; and its schema changes are not undone with
//! their transaction, for which reason each step of a migration may be repeated.
//!
//! PgBouncer is not for this: sessions begin with settings, and have prepared statements.

mod blob;
mod connect;
mod database;
mod error;
mod key;
mod migrate;
mod open;
mod period;
mod settings;
mod store;
mod sweep;

pub use open::Postgres;
pub use period::Period;
pub use settings::Settings;

use micro_plugin_api::export_plugin;

export_plugin! {
    name: "postgres",
    store: Postgres::open,
    blob: Postgres::open,
    promises = ["store.durable", "store.shared", "blob.durable", "blob.shared"],
}
