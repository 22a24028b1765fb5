//! Why a module keeps the plugin that it has.

use micro_profile::Module;

use crate::OpenError;

/// Why a module keeps the plugin that it has.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SwapError {
    /// The new plugin cannot be opened.
    #[error("{0}")]
    Open(#[source] std::sync::Arc<OpenError>),

    /// It opened, and is not well.
    #[error("{place}: {module}: plugin {plugin} is not well: {reason}")]
    Unwell {
        /// The line of the manifest.
        place: String,
        /// The module.
        module: Module,
        /// The plugin.
        plugin: String,
        /// What it says.
        reason: String,
    },

    /// It must not take the old one's place.
    #[error("{place}: {module}: {reason}")]
    Refused {
        /// The line of the manifest.
        place: String,
        /// The module.
        module: Module,
        /// Why not, and what to do.
        reason: String,
    },

    /// Something on the way failed.
    #[error("{place}: {module}: cannot {action}: {reason}")]
    Failed {
        /// The line of the manifest.
        place: String,
        /// The module.
        module: Module,
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        reason: String,
        /// Whether the same may succeed later, with nothing changed here.
        may_pass: bool,
    },
}

impl SwapError {
    /// Whether the same may succeed later, with nothing changed here: a backend is down, say.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Open(error) => error.may_pass(),
            Self::Unwell { .. } => true,
            Self::Refused { .. } => false,
            Self::Failed { may_pass, .. } => *may_pass,
        }
    }
}

impl From<OpenError> for SwapError {
    fn from(error: OpenError) -> Self {
        Self::Open(std::sync::Arc::new(error))
    }
}
