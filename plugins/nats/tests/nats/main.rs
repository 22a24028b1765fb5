//! The NATS modules against servers that want to know who comes, and servers that fail.
#![allow(
    clippy::unwrap_used,
    reason = "a helper of tests fails as they do, by panicking"
)]

mod broker_outage;
mod churn;
mod common;
mod credentials;
mod events;
mod login;
mod sharing;
mod stored;
mod stream_outage;
