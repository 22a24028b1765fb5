//! What a server says of the profile that it runs by.

use crate::Module;

/// What serves a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleStatus {
    /// The module.
    pub module: Module,
    /// The plugin that serves it; `none` if none does.
    pub plugin: String,
    /// The version of the plugin; empty if it is not known.
    pub version: String,
    /// The SHA-256 of its library, in lower-case hexadecimal; empty if it is not known.
    pub sha256: String,
    /// Since when: milliseconds since the Unix epoch.
    pub since: u64,
    /// Why it is not what the profile says, if it is not.
    pub error: Option<String>,
}

/// What became of the profile that a server runs by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileStatus {
    /// Its name or path.
    pub profile: String,
    /// The manifests that it is made of, as they were read last.
    pub files: Vec<String>,
    /// What serves each module.
    pub modules: Vec<ModuleStatus>,
    /// Why the profile cannot be read as it is now, or what of it waits for a restart.
    pub error: Option<String>,
    /// When it was applied last while the server ran: milliseconds since the Unix epoch.
    pub reloaded: Option<u64>,
}

impl ProfileStatus {
    /// Why what serves is not what the profile says: a sentence for each thing, most of them with
    /// file and line. What concerns several modules, which are of one instance, is said once.
    pub fn problems(&self) -> impl Iterator<Item = &str> {
        let modules = self.modules.iter().map(|module| &module.error);
        let mut all = Vec::new();
        for problem in std::iter::once(&self.error).chain(modules).flatten() {
            if !all.contains(&problem.as_str()) {
                all.push(problem);
            }
        }
        all.into_iter()
    }
}
