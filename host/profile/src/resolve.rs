//! From a name to a resolved profile: follows `extends` and lays the slots over each other.

use std::path::Path;

use crate::{
    Profile, ProfileError, Search, Slot,
    document::{Document, Reader},
    search::{self, Found},
};

pub(crate) fn resolve(
    name_or_path: &str,
    mut found: Found,
    search: &Search,
) -> Result<Profile, ProfileError> {
    let mut names = vec![name_or_path.to_owned()];
    let mut identities = vec![found.identity.clone()];
    let mut document = read(&found, search)?;
    let mut profile = Profile {
        name: name_or_path.to_owned(),
        files: vec![found.file.clone()],
        paths: found.paths.clone(),
        slots: document.slots,
        plugins: document.plugins,
        server: document.server,
    };
    while let Some((parent, location)) = document.extends.take() {
        found = search
            .find(&parent, found.folder.as_deref())
            .map_err(|source| ProfileError::Extends {
                location: location.clone(),
                source: Box::new(source),
            })?;
        names.push(parent);
        if let Some(first) = identities.iter().position(|id| *id == found.identity) {
            return Err(ProfileError::Cycle {
                location,
                chain: names.split_off(first),
            });
        }
        identities.push(found.identity.clone());
        profile.files.push(found.file.clone());
        profile.paths.append(&mut found.paths);
        document = read(&found, search)?;
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
    Ok(profile)
}

/// The settings in a file of their own.
pub(crate) fn settings(path: &Path, plugin: &str, search: &Search) -> Result<Slot, ProfileError> {
    let found = search::read(path.to_owned())?;
    reader(&found, search).settings(plugin)
}

pub(crate) fn read(found: &Found, search: &Search) -> Result<Document, ProfileError> {
    reader(found, search).read()
}

fn reader<'a>(found: &'a Found, search: &'a Search) -> Reader<'a> {
    Reader {
        file: found.file.clone(),
        folder: found.folder.as_deref(),
        text: &found.text,
        env: search.env(),
    }
}
