//! From a name to a resolved profile: follows `extends` and lays the slots over each other.

use crate::{
    Profile, ProfileError, Search,
    document::{Document, Reader},
    search::Found,
};

pub(crate) fn resolve(name_or_path: &str, search: &Search) -> Result<Profile, ProfileError> {
    let mut found = search.find(name_or_path, None)?;
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

fn read(found: &Found, search: &Search) -> Result<Document, ProfileError> {
    Reader {
        file: found.file.clone(),
        folder: found.folder.as_deref(),
        text: &found.text,
        env: search.env(),
    }
    .read()
}
