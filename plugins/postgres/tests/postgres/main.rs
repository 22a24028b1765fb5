//! The postgres plugin, tried with real servers: what the conformance suites do not see.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;
mod faults;
mod keys;
mod opens;
mod races;
mod secrets;
mod statements;
mod sweep;
mod tls;
