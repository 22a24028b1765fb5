//! What a profile may say about the process runtime.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

/// The settings of the process runtime. All have defaults, so that a profile need give none.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How long, in milliseconds, services may take to end by themselves when the server stops,
    /// before they are killed. Default 10000.
    pub shutdown_grace_ms: u64,
    /// How often, in milliseconds, a followed log is looked at for new lines. Default 100.
    pub log_poll_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            shutdown_grace_ms: 10_000,
            log_poll_ms: 100,
        }
    }
}

impl Settings {
    /// How often a followed log is looked at; never in a busy loop.
    pub(crate) fn log_poll(&self) -> Duration {
        Duration::from_millis(self.log_poll_ms.max(10))
    }
}
