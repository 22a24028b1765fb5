//! Small private files that several commands may write at once: a lock beside them, and whole replacement.

use std::{
    fs::{self, File, Permissions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use crate::error::{CliError, Result};

/// The text of a file; none if there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        // The folder may be a file of very old versions, which holds what config.json holds now.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(CliError::file("read", path, &error)),
    }
}

/// Replaces the text of a file by what `change` makes of it, while no other command does so.
/// The file and its folder are readable by their owner alone.
pub(super) fn update<T>(
    path: &Path,
    change: impl FnOnce(Option<String>) -> Result<(Option<String>, T)>,
) -> Result<T> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.map_or_else(|| PathBuf::from("."), Path::to_path_buf);
    make_folder(&folder).map_err(|error| CliError::file("create", &folder, &error))?;
    let mut lock_name = path.file_name().unwrap_or_default().to_owned();
    lock_name.push(".lock");
    let lock_path = folder.join(lock_name);
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&lock_path)
        .and_then(|file| file.lock().map(|()| file))
        .map_err(|error| CliError::file("lock", &lock_path, &error))?;
    let (text, result) = change(read(path)?)?;
    if let Some(text) = text {
        replace(path, &folder, &text).map_err(|error| CliError::file("write", path, &error))?;
    }
    drop(lock);
    Ok(result)
}

fn replace(path: &Path, folder: &Path, text: &str) -> io::Result<()> {
    // Created 0600, and readers see the old file or the new one, never a part.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file()
        .set_permissions(Permissions::from_mode(0o600))?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_file() {
        return adopt(folder);
    }
    if folder.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}

/// Very old versions had one file where the folder is now: it becomes the folder's `config.json`.
fn adopt(file: &Path) -> io::Result<()> {
    let aside = file.with_extension("old");
    fs::rename(file, &aside)?;
    fs::DirBuilder::new().mode(0o700).create(file)?;
    fs::rename(aside, file.join("config.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_folders_are_private_and_writers_take_turns() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(".micro").join("counter");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..10 {
                        update(&path, |old| {
                            let count: u32 = old.map_or(0, |text| text.parse().unwrap());
                            Ok((Some((count + 1).to_string()), ()))
                        })
                        .unwrap();
                    }
                });
            }
        });
        assert_eq!(read(&path).unwrap().as_deref(), Some("80"));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
    }

    #[test]
    fn a_plain_file_becomes_the_config_in_the_folder() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join(".micro");
        fs::write(&folder, "{\"env\":\"dev\"}").unwrap();
        assert_eq!(read(&folder.join("tokens")).unwrap(), None);
        update(&folder.join("tokens"), |_| Ok((Some("x".into()), ()))).unwrap();
        assert_eq!(
            read(&folder.join("config.json")).unwrap().as_deref(),
            Some("{\"env\":\"dev\"}")
        );
    }
}
