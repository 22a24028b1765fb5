//! What a profile may say about the memory plugin.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

/// The settings of the memory plugin. All have defaults, so that a profile need give none.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How long events of the stream are kept, in hours. Default 24.
    pub events_max_age_hours: u64,
    /// How many MiB of events are kept, in all topics together: beyond that the oldest go. Default
    /// 64.
    pub events_max_mb: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            events_max_age_hours: 24,
            events_max_mb: 64,
        }
    }
}

impl Settings {
    pub(crate) fn events_max_age(&self) -> Duration {
        Duration::from_secs(self.events_max_age_hours.saturating_mul(3_600))
    }

    pub(crate) fn events_max_bytes(&self) -> u64 {
        self.events_max_mb.saturating_mul(1 << 20)
    }
}
