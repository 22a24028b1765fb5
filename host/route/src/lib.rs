//! From a service name to a node: registry snapshot, choice of node, pooled connections.

mod core;
mod routes;
mod upstream;

pub use crate::{
    core::{Core, RESERVED, is_reserved},
    routes::{NoRoute, Node, REFRESH_TIMEOUT, Route, Routes},
    upstream::DIAL_TIMEOUT,
};
