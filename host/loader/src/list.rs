//! Which plugins there are: a look into every folder of the search, without running anything.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use micro_plugin_api::__abi::Manifest;

use crate::{LoadError, find, inspect, verify};

/// A library that was found.
#[derive(Debug)]
pub struct Listed {
    /// The name that it is found by.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// What it says of itself, where that can be read.
    pub manifest: Option<Manifest>,
    /// Why it would not be loaded.
    pub refusal: Option<LoadError>,
    /// The library of the same name that is found before it.
    pub shadowed_by: Option<PathBuf>,
}

pub(crate) fn list(folders: &[PathBuf]) -> Vec<Listed> {
    let mut all = Vec::<Listed>::new();
    let mut seen = BTreeSet::new();
    // A folder that is named twice is looked into once.
    for folder in folders.iter().filter(|folder| seen.insert(*folder)) {
        for path in libraries(folder) {
            let Some(mut listed) = look(path) else {
                continue;
            };
            let first = all.iter().find(|other| other.name == listed.name);
            listed.shadowed_by = first.map(|first| first.path.clone());
            all.push(listed);
        }
    }
    all
}

/// The files of a folder that are named as libraries; those that are found first come first.
fn libraries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().map(|name| name.to_string_lossy());
            name.is_some_and(|name| name.starts_with("lib") && name.ends_with(".so"))
        })
        .collect();
    paths.sort_by_cached_key(|path| (find::name_of(path), !is_ours(path)));
    paths
}

/// What there is to say of a file; nothing of a library that never claimed to be a plugin.
fn look(path: PathBuf) -> Option<Listed> {
    let name = find::name_of(&path);
    let (manifest, refusal) = match inspect::inspect(&name, &path) {
        Ok(manifest) => {
            let checked = verify::manifest(&name, &manifest);
            let checked = checked.and_then(|()| verify::owners(&name, &path));
            (Some(manifest), checked.err())
        }
        Err(LoadError::NotPlugin { .. }) if !is_ours(&path) => return None,
        Err(refusal) => (None, Some(refusal)),
    };
    Some(Listed {
        name,
        path,
        manifest,
        refusal,
        shadowed_by: None,
    })
}

/// Whether the name of a file claims a plugin.
fn is_ours(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with("libmicro_"))
}
