//! The states in the life of a service, as the wire numbers them.

use serde::{Deserialize, Serialize};

/// Where a service is between being asked for and its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    #[default]
    Unknown,
    Pending,
    Building,
    Starting,
    /// Registered, and it answered a health check.
    Running,
    Stopping,
    Stopped,
    Error,
}

impl Status {
    pub(crate) fn number(self) -> i32 {
        self as i32
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Pending => "pending",
            Self::Building => "building",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Error => "error",
        }
    }

    /// Whether nothing more will happen by itself.
    pub(crate) fn is_final(self) -> bool {
        matches!(self, Self::Stopped | Self::Error)
    }
}
