//! Several servers over one set of backends: what they share, and who runs what.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod keys;
mod platform;
mod sharing;
mod takeover;
