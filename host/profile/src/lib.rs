//! Profile manifests: which plugin stands behind each module of a server, with what settings.
//!
//! A manifest is a TOML file found by [`Search`]; it may extend another one, slot by slot. What
//! comes out is a [`Profile`] that knows of each slot and value in which file and line it stands.

use std::{path::Path, sync::Arc};

mod builtin;
mod document;
mod error;
mod profile;
mod redact;
mod resolve;
mod search;
mod vars;
mod watch;

pub use builtin::BUILTIN;
pub use error::ProfileError;
pub use profile::{Keys, Location, Module, PluginSource, Profile, ServerSettings, Slot};
pub use redact::HIDDEN;
pub use search::{Listed, RESERVED, Search};
pub use watch::{Watch, WatchError};

/// The resolved profile of a name (`local`) or of a path (`./mine.toml`: it holds a `/` or ends in
/// `.toml`).
///
/// # Errors
/// What is wrong with which file, in one line: see [`ProfileError`].
pub fn load(name_or_path: &str, search: &Search) -> Result<Profile, ProfileError> {
    resolve::resolve(name_or_path, search.find(name_or_path, None)?, search)
}

/// The profile that a manifest of this text would be, stood it in `file`.
///
/// # Errors
/// As of [`load`]; also where `name` cannot be the name of a profile.
pub fn parse(
    name: &str,
    file: &Path,
    text: String,
    search: &Search,
) -> Result<Profile, ProfileError> {
    resolve::resolve(name, search::of_text(name, file, text)?, search)
}

/// The text of the manifest of a name or path as it stands there, with the values that
/// `is_secret` says to be secret replaced by [`HIDDEN`]. It is asked with the name of a plugin and
/// the dotted path of one of its settings (without the positions within arrays).
///
/// # Errors
/// The manifest is not found, or is wrong.
pub fn text(
    name_or_path: &str,
    search: &Search,
    is_secret: impl Fn(&str, &str) -> bool,
) -> Result<(Arc<str>, String), ProfileError> {
    let found = search.find(name_or_path, None)?;
    let text = redact::redact(&found, search, &is_secret)?;
    Ok((found.file, text))
}

/// The settings of one slot from a file of their own, as `micro plugin test` takes them: the keys
/// of the slot without its heading. The slot names no plugin: it is for the one called `plugin`.
///
/// # Errors
/// The file cannot be read, or is wrong.
pub fn settings(path: &Path, plugin: &str, search: &Search) -> Result<Slot, ProfileError> {
    resolve::settings(path, plugin, search)
}
