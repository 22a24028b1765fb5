//! Why the modules of a profile could not be opened, a line for each.

use micro_loader::LoadError;
use micro_profile::{Location, Module, WrongSetting};

/// Why the modules of a profile could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Nothing fills a module.
    #[error(
        "profile {profile} has no plugin for the module `{module}`; add `[{module}]` with a \
         `plugin` to {file}, or extend a profile that has one"
    )]
    Missing {
        /// The profile.
        profile: String,
        /// Its file.
        file: String,
        /// The module.
        module: Module,
    },

    /// A plugin cannot be loaded or opened.
    #[error("{location}: {module}: {source}")]
    Load {
        /// The line that says so.
        location: Location,
        /// The module.
        module: Module,
        /// Why not.
        source: Box<LoadError>,
    },

    /// Settings that the plugin does not take.
    #[error("{}", wrong.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Settings {
        /// What is wrong with which, at least one.
        wrong: Vec<WrongSetting>,
    },

    /// A plugin does not do what is asked of it.
    #[error(
        "{location}: plugin {plugin} has no module `{module}`; it offers {}",
        offers.join(", ")
    )]
    NotOffered {
        /// The line that says so.
        location: Location,
        /// The plugin.
        plugin: String,
        /// The module.
        module: Module,
        /// What the plugin offers.
        offers: Vec<String>,
    },

    /// More than one of these.
    #[error("{}", lines(.0))]
    Several(Vec<OpenError>),
}

impl OpenError {
    /// Whether the same may succeed later, with nothing changed here.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self, Self::Load { source, .. } if source.may_pass())
    }

    /// Nothing if there is no error, else the one, or all of them.
    pub(crate) fn none_of(mut errors: Vec<Self>) -> Result<(), Self> {
        match errors.pop() {
            None => Ok(()),
            Some(only) if errors.is_empty() => Err(only),
            Some(last) => {
                errors.push(last);
                Err(Self::Several(errors))
            }
        }
    }
}

/// A line for each.
fn lines(errors: &[OpenError]) -> String {
    let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
    errors.join("\n")
}
