//! What a service logs: a line of `key=value` pairs on standard error for each event, which the
//! runtime keeps and `micro logs` shows.
//!
//! ```
//! use micro::logger;
//!
//! let user = "jane";
//! logger::info!(user, "logged in after {} attempts", 2);
//! logger::warn!("the quota of {user} is nearly used up");
//! ```
//!
//! gives `ts=2026-11-24T18:00:00.123Z level=info file=src/main.rs:4 msg="logged in after 2 attempts"
//! user=jane`. The level is `MICRO_LOG_LEVEL`'s, or `info`; a filter of `tracing` is understood as
//! well (`info,hyper=warn`). Events of any crate that logs with `tracing` are among them.

mod format;

use tracing_subscriber::{EnvFilter, fmt};

pub use tracing::{debug, error, info, trace, warn};

/// Starts logging at a level (`info` unless said) or by a filter of `tracing`. A subscriber that is
/// there already stays. [`Service::run`](crate::Service::run) does this; a program of another kind
/// may.
pub fn start(level: Option<&str>) {
    let filter = level.and_then(|level| EnvFilter::try_new(level).ok());
    let subscriber = fmt()
        .with_env_filter(filter.unwrap_or_else(|| EnvFilter::new("info")))
        .with_writer(std::io::stderr)
        .event_format(format::Pairs)
        .finish();
    let _ = tracing::subscriber::set_global_default(subscriber);
}
