//! What a profile may say about the process runtime.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::logs::Rotation;

/// The settings of the process runtime. All have defaults, so that a profile need give none.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How long, in milliseconds, services may take to end by themselves when the server stops,
    /// before they are killed. Default 10000.
    pub shutdown_grace_ms: u64,
    /// How often, in milliseconds, logs are looked after, and a followed one is looked at for new
    /// lines. Default 100, at least 10.
    pub log_poll_ms: u64,
    /// How large, in bytes, the file of a log may become before its older part moves to the next
    /// one. Default 10485760 (10 MiB), at least 65536.
    pub log_file_bytes: u64,
    /// How many files a log has at most; the oldest goes when there would be more. Default 3, at
    /// least 1.
    pub log_files: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            shutdown_grace_ms: 10_000,
            log_poll_ms: 100,
            log_file_bytes: 10 * 1024 * 1024,
            log_files: 3,
        }
    }
}

impl Settings {
    /// How often logs are looked at; never in a busy loop.
    pub(crate) fn log_poll(&self) -> Duration {
        Duration::from_millis(self.log_poll_ms.max(10))
    }

    pub(crate) fn rotation(&self) -> Rotation {
        Rotation {
            bytes: self.log_file_bytes.max(64 * 1024),
            files: self.log_files.max(1) as usize,
        }
    }
}
