//! Real backends that stop for a while, die, come late or not at all, under a real server with
//! traffic: calls fail soon and with the right error, everything recovers by itself, and nothing
//! that was acknowledged is lost.

mod backend;
mod platform;
mod registry;
mod store;
mod traffic;
