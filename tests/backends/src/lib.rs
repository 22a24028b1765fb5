//! Private real servers for tests: etcd, NATS with JetStream, PostgreSQL.
//!
//! Each listens on a free port of the loopback address, keeps its data in a temporary folder, and
//! ends with its owner, however that ends. [`Etcd::shared`], [`Nats::shared`] and
//! [`Postgres::shared`] are there once for a whole test run: tests keep apart by prefixes,
//! subjects and databases, for which [`unique`] makes names. A test that stops its server, or
//! wants it with TLS or passwords, starts one of its own. What tests of plugins wait for, they wait for
//! by [`until`], [`eventually`] and [`soon`].

mod backend;
mod certificates;
mod error;
mod etcd;
mod folder;
mod http;
mod nats;
mod port;
mod postgres;
mod program;
mod server;
mod shared;
mod sockets;
mod unique;
mod wait;
mod watchdog;

pub use backend::Backend;
pub use certificates::Certificates;
pub use error::Error;
pub use etcd::{Etcd, EtcdBuilder, Health};
pub use nats::{Greeting, Nats, NatsBuilder};
pub use postgres::{Postgres, PostgresBuilder, Socket};
pub use program::{Program, install_line};
pub use unique::unique;
pub use wait::{PATIENCE, eventually, soon, until};
