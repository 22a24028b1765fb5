//! How a test learns of the servers that `cargo xtask test` started for the whole run.

use std::env;

/// The variable that tells where the run's etcd is: its endpoint.
pub(crate) const ETCD: &str = "MICRO_TEST_ETCD";
/// Likewise NATS: its URL.
pub(crate) const NATS: &str = "MICRO_TEST_NATS";
/// Likewise PostgreSQL: its URL, without a database.
pub(crate) const POSTGRES: &str = "MICRO_TEST_POSTGRES";

/// The address in a variable, if it is set to one.
pub(crate) fn address(variable: &str) -> Option<String> {
    env::var(variable).ok().filter(|value| !value.is_empty())
}
