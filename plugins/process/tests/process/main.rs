//! The process runtime, tried with real processes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod adopt;
mod common;
mod lifecycle;
mod logs;
