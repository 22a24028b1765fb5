//! Which namespaces hold a blob. A folder may be there without one, while a blob is written into it or
//! the last one deleted.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use micro_plugin_api::Result;

use super::path::{self, KEY, MORE, NAMESPACE};
use crate::directory::failed;

/// All of them, in order.
pub(super) fn all(folder: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    look_into(folder, "", &mut found)?;
    found.sort();
    Ok(found)
}

/// Looks at the names in a folder, which stands for what the encoded `so_far` begins.
fn look_into(folder: &Path, so_far: &str, found: &mut Vec<String>) -> Result<()> {
    for (name, entry) in entries(folder)? {
        match path::piece(name.as_ref()) {
            Some((piece, MORE)) => look_into(&entry, &format!("{so_far}{piece}"), found)?,
            Some((piece, NAMESPACE)) if holds_a_blob(&entry)? => {
                found.extend(path::decode(&format!("{so_far}{piece}")));
            }
            _ => {}
        }
    }
    Ok(())
}

fn holds_a_blob(folder: &Path) -> Result<bool> {
    for (name, entry) in entries(folder)? {
        match path::piece(name.as_ref()) {
            Some((_, KEY)) => return Ok(true),
            Some((_, MORE)) if holds_a_blob(&entry)? => return Ok(true),
            _ => {}
        }
    }
    Ok(false)
}

/// The names in a folder, and their paths; none in one that is gone.
fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let read = match fs::read_dir(folder) {
        Ok(read) => read,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed("list", folder, &error)),
    };
    let mut all = Vec::new();
    for entry in read {
        let entry = entry.map_err(|error| failed("list", folder, &error))?;
        // A name that is no text is none of ours.
        if let Ok(name) = entry.file_name().into_string() {
            all.push((name, entry.path()));
        }
    }
    Ok(all)
}
