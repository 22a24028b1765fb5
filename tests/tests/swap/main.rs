//! Live swap: modules of a running server are given other plugins, and nobody notices.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod blobs;
mod command_line;
mod exclusive;
mod followed;
mod refusals;
mod replace;
mod secrets;
mod store;
mod streams;
mod told;
mod under_load;
