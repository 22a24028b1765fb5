//! The core service `runtime`, with real processes: what is uploaded is run, and its status is the
//! truth.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bench;
mod lifecycle;
mod requests;
mod several;
