//! A copy of a source at a place that stays the same from build to build, in which only files that
//! changed are written: compilers go by paths and times.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs, io,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use crate::BuildError;

/// Makes `mirror` a copy of `source`, but for the files of `own`, which have the content given
/// there. Times of change are those of the copying: an older file may well be the newer content.
pub(crate) fn update(
    source: &Path,
    mirror: &Path,
    own: &BTreeMap<PathBuf, Vec<u8>>,
) -> Result<(), BuildError> {
    let failed = |error| BuildError::io("cannot copy the source to", mirror, error);
    folder(source, mirror, own.keys()).map_err(failed)?;
    for (name, content) in own {
        write(&mirror.join(name), content, 0o644).map_err(failed)?;
    }
    Ok(())
}

fn folder<'a>(
    source: &Path,
    mirror: &Path,
    own: impl Iterator<Item = &'a PathBuf> + Clone,
) -> io::Result<()> {
    if fs::symlink_metadata(mirror).is_ok_and(|meta| !meta.is_dir()) {
        fs::remove_file(mirror)?;
    }
    fs::create_dir_all(mirror)?;
    let mut extra: BTreeMap<OsString, fs::FileType> = BTreeMap::new();
    for entry in fs::read_dir(mirror)? {
        let entry = entry?;
        extra.insert(entry.file_name(), entry.file_type()?);
    }
    for name in own.clone() {
        extra.remove(name.as_os_str());
    }
    for entry in fs::read_dir(source)? {
        let entry = entry?;
        let name = entry.file_name();
        extra.remove(&name);
        if own.clone().any(|own| own.as_os_str() == name) {
            continue;
        }
        let (from, to) = (entry.path(), mirror.join(&name));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            folder(&from, &to, std::iter::empty())?;
        } else if kind.is_symlink() {
            link(&fs::read_link(&from)?, &to)?;
        } else if kind.is_file() {
            write(
                &to,
                &fs::read(&from)?,
                entry.metadata()?.permissions().mode(),
            )?;
        }
    }
    for (name, kind) in extra {
        remove(&mirror.join(name), kind.is_dir())?;
    }
    Ok(())
}

/// Writes a file, unless it has this content already.
fn write(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_file() => {
            if meta.len() == content.len() as u64 && fs::read(path)? == content {
                if meta.permissions().mode() & 0o777 != mode & 0o777 {
                    fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o777))?;
                }
                return Ok(());
            }
            // It may be read-only, and a new file is not.
            fs::remove_file(path)?;
        }
        Ok(meta) => remove(path, meta.is_dir())?,
        Err(_) => {}
    }
    fs::write(path, content)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o777))
}

fn link(target: &Path, path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_symlink() && fs::read_link(path)? == target => return Ok(()),
        Ok(meta) => remove(path, meta.is_dir())?,
        Err(_) => {}
    }
    symlink(target, path)
}

fn remove(path: &Path, is_folder: bool) -> io::Result<()> {
    if is_folder {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_only_what_changed() {
        let root = tempfile::tempdir().unwrap();
        let (source, mirror) = (root.path().join("source"), root.path().join("mirror"));
        fs::create_dir_all(source.join("src")).unwrap();
        fs::write(source.join("src/main.rs"), "one").unwrap();
        fs::write(source.join("gone"), "x").unwrap();
        fs::write(source.join("shape"), "file").unwrap();
        symlink("src", source.join("link")).unwrap();
        let own = BTreeMap::from([(PathBuf::from("Cargo.lock"), b"lock".to_vec())]);
        update(&source, &mirror, &own).unwrap();
        let time = |name: &str| fs::metadata(mirror.join(name)).unwrap().modified().unwrap();
        let (main, lock) = (time("src/main.rs"), time("Cargo.lock"));
        update(&source, &mirror, &own).unwrap();
        assert_eq!((main, lock), (time("src/main.rs"), time("Cargo.lock")));
        assert_eq!(
            fs::read_link(mirror.join("link")).unwrap(),
            Path::new("src")
        );

        fs::remove_file(source.join("gone")).unwrap();
        fs::remove_file(source.join("shape")).unwrap();
        fs::create_dir(source.join("shape")).unwrap();
        fs::write(source.join("src/main.rs"), "two").unwrap();
        update(&source, &mirror, &own).unwrap();
        assert_eq!(fs::read(mirror.join("src/main.rs")).unwrap(), b"two");
        assert!(!mirror.join("gone").exists() && mirror.join("shape").is_dir());
        assert_eq!(fs::read(mirror.join("Cargo.lock")).unwrap(), b"lock");
    }
}
