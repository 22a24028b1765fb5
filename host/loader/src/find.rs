//! Where plugins are looked for, and under which file names.

use std::path::{Path, PathBuf};

use crate::LoadError;

/// The folders to look in: those of `MICRO_PLUGIN_PATH`, which the caller gives; the folder of the
/// running program; `lib/micro/plugins` of the prefix that it is installed in; and
/// `.micro/plugins` of the user.
pub fn search_path(plugin_path: &[PathBuf], home: Option<&Path>) -> Vec<PathBuf> {
    let mut folders = plugin_path.to_vec();
    if let Ok(program) = std::env::current_exe()
        && let Some(beside) = program.parent()
    {
        folders.push(beside.to_owned());
        if let Some(prefix) = beside.parent() {
            folders.push(prefix.join("lib/micro/plugins"));
        }
    }
    folders.extend(home.map(|home| home.join(".micro/plugins")));
    folders
}

/// The library of the plugin `name` in the first of `folders` that has it.
pub(crate) fn find(name: &str, folders: &[PathBuf]) -> Result<PathBuf, LoadError> {
    // A name with a slash would leave the folders.
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || !name.chars().all(fits) {
        return Err(LoadError::BadName {
            plugin: name.to_owned(),
        });
    }
    // Cargo makes underscores of the hyphens in a crate's name.
    let name = name.replace('-', "_");
    let files = [format!("libmicro_{name}.so"), format!("lib{name}.so")];
    folders
        .iter()
        .flat_map(|folder| files.iter().map(move |file| folder.join(file)))
        .find(|path| path.exists())
        .ok_or_else(|| LoadError::NotFound {
            plugin: name,
            files: files.to_vec(),
            looked: folders.to_vec(),
        })
}

/// The name of the plugin that a library of this file name is, where nobody said another.
pub(crate) fn name_of(path: &Path) -> String {
    let stem = path
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_default();
    let name = stem.strip_prefix("lib").unwrap_or(&stem);
    name.strip_prefix("micro_").unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_first_folder_wins_and_in_it_the_longer_name() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let folders = [a.path().to_owned(), b.path().to_owned()];
        let error = find("my-store", &folders).unwrap_err().to_string();
        assert!(
            error.contains("libmicro_my_store.so and libmy_store.so in"),
            "{error}"
        );
        assert!(error.contains(&b.path().display().to_string()), "{error}");
        for file in [
            b.path().join("libmicro_my_store.so"),
            a.path().join("libmy_store.so"),
            a.path().join("libmicro_my_store.so"),
        ] {
            fs::write(&file, "").unwrap();
            assert_eq!(find("my-store", &folders).unwrap(), file);
        }
        for name in ["", "../x", "a/b", "a.b"] {
            assert!(matches!(
                find(name, &folders),
                Err(LoadError::BadName { .. })
            ));
        }
    }

    #[test]
    fn a_file_name_tells_the_plugin() {
        for (path, name) in [
            ("/x/libmicro_memory.so", "memory"),
            ("libmystore.so", "mystore"),
            ("odd", "odd"),
        ] {
            assert_eq!(name_of(Path::new(path)), name);
        }
    }
}
