//! From a service name to a node: registry snapshot, choice of node, pooled connections.

mod body;
mod budget;
mod core;
mod deadline;
mod describe;
mod dispatch;
pub mod door;
mod gather;
mod routes;
mod upstream;

pub use crate::{
    body::{Body, BodyError},
    budget::{Budget, Charge, DEFAULT_SHARE, DEFAULT_TOTAL, Share},
    core::{Core, RESERVED, is_reserved},
    describe::Descriptions,
    dispatch::{Dispatcher, Target},
    gather::{Gather, PAUSE, Tab},
    routes::{NoRoute, Node, REFRESH_TIMEOUT, Route, Routes, is_address},
    upstream::DIAL_TIMEOUT,
};
