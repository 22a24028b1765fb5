//! What the host gives to a plugin when it opens.

use std::path::{Path, PathBuf};

/// The host as a plugin sees it: who it is there, and where it may keep files.
#[derive(Clone, Debug)]
pub struct Host {
    plugin: String,
    state_dir: PathBuf,
    logs_dir: PathBuf,
}

impl Host {
    /// A host that calls the plugin `plugin` and keeps its files below `state_dir` and the output
    /// of services below `logs_dir`.
    pub fn new(
        plugin: impl Into<String>,
        state_dir: impl Into<PathBuf>,
        logs_dir: impl Into<PathBuf>,
    ) -> Self {
        Self {
            plugin: plugin.into(),
            state_dir: state_dir.into(),
            logs_dir: logs_dir.into(),
        }
    }

    /// The name that the manifest gives to this plugin.
    pub fn plugin(&self) -> &str {
        &self.plugin
    }

    /// A folder of this plugin's own below the server's state. It may not exist yet.
    pub fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// Where a runtime keeps the output of services: `NAMESPACE/NAME/VERSION.log`, each part
    /// percent-encoded. It may not exist yet.
    pub fn logs_dir(&self) -> &Path {
        &self.logs_dir
    }
}
