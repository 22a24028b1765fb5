//! The server's log: one line an event, to stderr.

use std::io::{IsTerminal as _, stderr};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::ServerError;

/// Libraries whose debugging output says nothing about this program; named explicitly in a level
/// they still speak.
const CHATTY: [&str; 6] = ["h2", "hyper", "hyper_util", "mio", "tonic", "tower"];

/// Sends events to stderr from now on, those of plugins included. In a program that has a
/// subscriber already, that one stays.
pub(crate) fn init(level: &str) -> Result<(), ServerError> {
    let filter = filter(level)?;
    let lines = tracing_subscriber::fmt::layer()
        .compact()
        .with_ansi(stderr().is_terminal())
        .with_writer(stderr);
    // Fails only if there is one: an embedding program, or a test.
    let _ = tracing_subscriber::registry()
        .with(lines)
        .with(filter)
        .try_init();
    Ok(())
}

fn filter(level: &str) -> Result<Targets, ServerError> {
    let level = level.trim();
    let wrong = || ServerError::LogLevel(level.to_owned());
    if level.is_empty() {
        // To the library that is a level: `error`.
        return Err(wrong());
    }
    if level.contains([',', '=']) {
        return level.parse().map_err(|_| wrong());
    }
    let level: LevelFilter = level.parse().map_err(|_| wrong())?;
    let quiet = level.min(LevelFilter::INFO);
    Ok(Targets::new()
        .with_default(level)
        .with_targets(CHATTY.map(|target| (target, quiet))))
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn levels() {
        let enabled = |level: &str, target: &str, at: Level| {
            filter(level).expect("a level").would_enable(target, &at)
        };
        assert!(enabled("info", "micro_route", Level::INFO));
        assert!(!enabled("info", "micro_route", Level::DEBUG));
        assert!(enabled("DEBUG", "micro_route", Level::DEBUG));
        assert!(!enabled("debug", "h2::codec", Level::DEBUG));
        assert!(!enabled("error", "h2::codec", Level::WARN));
        assert!(enabled("warn,h2=trace", "h2::codec", Level::TRACE));
        assert!(!enabled("warn,h2=trace", "micro_route", Level::INFO));
        assert!(!enabled("off", "micro_route", Level::ERROR));
        for wrong in ["loud", "", "info,x=loud"] {
            assert!(filter(wrong).is_err(), "{wrong}");
        }
    }
}
