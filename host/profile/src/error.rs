//! What can be wrong with a profile, each in one line that says where and what to do.

use std::path::PathBuf;

use micro_plugin_api::userinfo;

use crate::Location;

/// Why a profile could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// The name means something else.
    #[error(
        "profile `{0}` is reserved for command lines and services, which load no plugins; \
         start a server with another one, such as `local`"
    )]
    Reserved(String),

    /// The name could not be one: it is looked up as a file name.
    #[error(
        "`{}` is not the name of a profile: use letters, digits, `-`, `_` and `.`, or a path \
         that holds a `/` or ends in `.toml`",
        userinfo::hide_in_value(.0)
    )]
    BadName(String),

    /// There is no such profile.
    #[error("profile `{name}` not found; looked for {name}.toml {places}")]
    NotFound {
        /// The name.
        name: String,
        /// Where it was looked for, as a phrase.
        places: String,
    },

    /// The file is there, or should be, and cannot be read.
    #[error("profile {path}: {source}", path = userinfo::hide_in_value(&path.display().to_string()))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },

    /// A profile extends itself.
    #[error("{location}: profiles extend each other in a circle: {}", chain.join(" -> "))]
    Cycle {
        /// The `extends` that closes the circle.
        location: Location,
        /// The profiles, from the first to the one that comes again.
        chain: Vec<String>,
    },

    /// What a manifest extends cannot be loaded.
    #[error("{location}: extends: {source}")]
    Extends {
        /// The `extends`.
        location: Location,
        /// What is wrong with the other profile.
        source: Box<ProfileError>,
    },

    /// Something in a manifest is wrong.
    #[error("{location}: {message}")]
    Invalid {
        /// Where.
        location: Location,
        /// What, and what to do about it; names the key.
        message: String,
    },

    /// Several mistakes.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Several(Vec<Self>),

    /// A string names a variable that the environment does not hold.
    #[error(
        "{location}: {key}: environment variable {variable} is not set; set it, or give a default \
         as ${{{variable}:-…}}"
    )]
    MissingVariable {
        /// Where.
        location: Location,
        /// The key, dotted.
        key: String,
        /// The variable.
        variable: String,
    },
}

impl ProfileError {
    /// The error of all these mistakes; none if there is none.
    pub(crate) fn of(mut wrong: Vec<Self>) -> Option<Self> {
        match wrong.len() {
            0 | 1 => wrong.pop(),
            _ => Some(Self::Several(wrong)),
        }
    }

    /// The mistakes, each in one line.
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Several(all) => all.iter().flat_map(Self::lines).collect(),
            one => vec![one.to_string()],
        }
    }

    /// Where the mistake is, if it is one within a manifest.
    pub fn location(&self) -> Option<&Location> {
        match self {
            Self::Invalid { location, .. }
            | Self::MissingVariable { location, .. }
            | Self::Extends { location, .. }
            | Self::Cycle { location, .. } => Some(location),
            _ => None,
        }
    }

    pub(crate) fn invalid(location: Location, message: impl Into<String>) -> Self {
        Self::Invalid {
            location,
            message: message.into(),
        }
    }
}
