//! From a name to a resolved profile: follows `extends` and lays the slots over each other.

use std::path::Path;

use crate::{
    Profile, ProfileError, Search, Slot,
    document::{Document, Reader},
    search::{self, Found},
};

/// The profile, as far as its manifests make sense; what does not is noted.
pub(crate) fn examine(
    name_or_path: &str,
    mut found: Found,
    search: &Search,
    wrong: &mut Vec<ProfileError>,
) -> Profile {
    let mut names = vec![name_or_path.to_owned()];
    let mut identities = vec![found.identity.clone()];
    let mut document = read(&found, search, wrong);
    let mut profile = Profile {
        name: name_or_path.to_owned(),
        files: vec![found.file.clone()],
        paths: found.paths.clone(),
        slots: document.slots,
        plugins: document.plugins,
        server: document.server,
    };
    while let Some((parent, location)) = document.extends.take() {
        found = match search.find(&parent, found.folder.as_deref()) {
            Ok(found) => found,
            Err(source) => {
                let source = Box::new(source);
                wrong.push(ProfileError::Extends { location, source });
                break;
            }
        };
        names.push(parent);
        if let Some(first) = identities.iter().position(|id| *id == found.identity) {
            let chain = names.split_off(first);
            wrong.push(ProfileError::Cycle { location, chain });
            break;
        }
        identities.push(found.identity.clone());
        profile.files.push(found.file.clone());
        profile.paths.append(&mut found.paths);
        document = read(&found, search, wrong);
        // What is nearer to the profile that was asked for wins, slot by slot.
        for (module, slot) in document.slots {
            profile.slots.entry(module).or_insert(slot);
        }
        for (name, source) in document.plugins {
            profile.plugins.entry(name).or_insert(source);
        }
        if profile.server.location.is_none() {
            profile.server = document.server;
        }
    }
    profile
}

/// The profile, if there is nothing wrong with it.
pub(crate) fn resolve(
    name_or_path: &str,
    found: Found,
    search: &Search,
) -> Result<Profile, ProfileError> {
    let mut wrong = Vec::new();
    let profile = examine(name_or_path, found, search, &mut wrong);
    ProfileError::of(wrong).map_or(Ok(profile), Err)
}

/// The settings in a file of their own.
pub(crate) fn settings(path: &Path, plugin: &str, search: &Search) -> Result<Slot, ProfileError> {
    let found = search::read(path.to_owned())?;
    let mut wrong = Vec::new();
    let slot = reader(&found, search).settings(plugin, &mut wrong);
    ProfileError::of(wrong).map_or(Ok(slot), Err)
}

pub(crate) fn read(found: &Found, search: &Search, wrong: &mut Vec<ProfileError>) -> Document {
    reader(found, search).read(wrong)
}

fn reader<'a>(found: &'a Found, search: &'a Search) -> Reader<'a> {
    Reader {
        file: found.file.clone(),
        folder: found.folder.as_deref(),
        text: &found.text,
        env: search.env(),
    }
}
