//! What the etcd plugin promises beyond the suites: of etcd's own terms, and when etcd is lost.

mod access;
mod commits;
mod common;
mod expiry;
mod faults;
mod lists;
mod proxy;
mod registry;
mod watches;
