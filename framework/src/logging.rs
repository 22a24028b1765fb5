//! What a service logs, to standard error, where the runtime keeps it.

use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, fmt};

/// Starts logging at a level (`info` unless said) or by a filter of `tracing`. A subscriber that is
/// there already stays.
pub(crate) fn start(level: Option<&str>) {
    let filter = level.and_then(|level| EnvFilter::try_new(level).ok());
    let subscriber = fmt()
        .with_env_filter(filter.unwrap_or_else(|| EnvFilter::new("info")))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .finish();
    let _ = tracing::subscriber::set_global_default(subscriber);
}
