//! Profile manifests: which plugin stands behind each module of a server, with what settings.
//!
//! A manifest is a TOML file found by [`Search`]; it may extend another one, slot by slot. What
//! comes out is a [`Profile`] that knows of each slot and value in which file and line it stands.

mod builtin;
mod document;
mod error;
mod profile;
mod resolve;
mod search;
mod vars;
mod watch;

pub use builtin::BUILTIN;
pub use error::ProfileError;
pub use profile::{Keys, Location, Module, PluginSource, Profile, ServerSettings, Slot};
pub use search::{RESERVED, Search};
pub use watch::{Watch, WatchError};

/// The resolved profile of a name (`local`) or of a path (`./mine.toml`: it holds a `/` or ends in
/// `.toml`).
///
/// # Errors
/// What is wrong with which file, in one line: see [`ProfileError`].
pub fn load(name_or_path: &str, search: &Search) -> Result<Profile, ProfileError> {
    resolve::resolve(name_or_path, search)
}
