//! The server's side: the functions of a library become handles that look like any other.

mod blob;
mod broker;
mod connect;
mod documents;
mod events;
mod flood;
mod length;
mod link;
mod logs;
mod store;
mod watched;

pub use connect::{Connection, Opened, Problem, symbol};
pub(crate) use logs::program;
