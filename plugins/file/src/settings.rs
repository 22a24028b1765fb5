//! What a profile may say about the file plugin.

use std::path::{Path, PathBuf};

use micro_plugin_api::Host;
use schemars::JsonSchema;
use serde::Deserialize;

/// The settings of the file plugin. All have defaults, so that a profile need give none.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The folder that holds everything. Default: the plugin's folder in the server's state,
    /// `~/.micro/server/plugins/file`. A relative one is relative to that.
    pub dir: Option<PathBuf>,
    /// Memory for parts of the store that were read lately, in MiB, taken as they are read.
    /// Default 256: what ten million records need so that a read looks into the disk once.
    pub cache_mb: u64,
    /// Free space, in MiB, that the plugin leaves on the disk: with less, writes fail and reads go
    /// on. Default 128.
    pub reserve_mb: u64,
    /// How long events of the stream are kept, in hours. Default 168, a week.
    pub events_max_age_hours: u64,
    /// How many MiB of events are kept, in all topics together: beyond that the oldest go. Default
    /// 1024.
    pub events_max_mb: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            dir: None,
            cache_mb: 256,
            reserve_mb: 128,
            events_max_age_hours: 7 * 24,
            events_max_mb: 1024,
        }
    }
}

impl Settings {
    /// The folder that these settings mean in this host.
    pub fn folder(&self, host: &Host) -> PathBuf {
        host.state_dir()
            .join(self.dir.as_deref().unwrap_or(Path::new("")))
    }
}
