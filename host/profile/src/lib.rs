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
pub use profile::{
    Keys, Location, Module, PluginSource, Profile, ServerSettings, Slot, WrongSetting,
};
pub use redact::HIDDEN;
pub use search::{Listed, RESERVED, Search};
pub use watch::{Watch, WatchError};

/// The resolved profile of a name (`local`) or of a path (`./mine.toml`: it holds a `/` or ends in
/// `.toml`).
///
/// # Errors
/// What is wrong with which files: see [`ProfileError`].
pub fn load(name_or_path: &str, search: &Search) -> Result<Profile, ProfileError> {
    resolve::resolve(name_or_path, search.find(name_or_path, None)?, search)
}

/// The profile as far as it makes sense, and everything that is wrong with it. What cannot be found
/// or read at all is no profile.
pub fn examine(name_or_path: &str, search: &Search) -> (Option<Profile>, Vec<ProfileError>) {
    let mut wrong = Vec::new();
    let profile = match search.find(name_or_path, None) {
        Ok(found) => Some(resolve::examine(name_or_path, found, search, &mut wrong)),
        Err(error) => {
            wrong.push(error);
            None
        }
    };
    (profile, wrong)
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

/// The text of the manifest of a name or path as it stands there, with the values that `hides` says
/// must not be shown replaced by [`HIDDEN`], and without what URLs say of their users. It is asked
/// with the name of a plugin and the dotted path of one of its settings (without the positions within
/// arrays). Settings that are commented out are settings.
///
/// # Errors
/// The manifest is not found, or is wrong.
pub fn text(
    name_or_path: &str,
    search: &Search,
    hides: impl Fn(&str, &str) -> bool,
) -> Result<(Arc<str>, String), ProfileError> {
    let found = search.find(name_or_path, None)?;
    let text = redact::redact(&found, search, &hides)?;
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
