//! From a service name to a node: registry snapshot, choice of node, pooled connections.

mod body;
mod core;
mod deadline;
mod dispatch;
pub mod door;
mod routes;
mod upstream;

pub use crate::{
    body::{Body, BodyError},
    core::{Core, RESERVED, is_reserved},
    dispatch::{Dispatcher, Target},
    routes::{NoRoute, Node, REFRESH_TIMEOUT, Route, Routes},
    upstream::DIAL_TIMEOUT,
};
