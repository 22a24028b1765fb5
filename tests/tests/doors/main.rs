//! The doors in this process: what passes through them, and how they choose where to.

#![allow(
    clippy::unwrap_used,
    reason = "a test that panics has failed, which is what it should do"
)]

mod budgets;
mod gateway;
mod gateway_streams;
mod hostile;
mod node;
mod platform;
mod reflection;
mod routing;
mod service;
mod streamer;
mod streams;
mod transparency;
mod websockets;
