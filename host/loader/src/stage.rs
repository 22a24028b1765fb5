//! A private copy of a library, named by its hash: what is opened is what was hashed, and new code
//! at an old path is really new (the system's loader knows libraries by their path).

use std::{
    fs::{self, DirBuilder, File, Permissions},
    io::{self, Read},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::{
    LoadError,
    cache::{self, Held},
    inspect::MOST_BYTES,
    verify,
};

/// A library in the cache.
pub(crate) struct Staged {
    pub(crate) path: PathBuf,
    /// Lower-case hexadecimal.
    pub(crate) sha256: String,
    /// Until it is open.
    _held: Held,
}

/// The copy of `path` in `cache`, made unless it is there. Refused if its hash is not `pin`.
pub(crate) fn stage(
    plugin: &str,
    path: &Path,
    cache: &Path,
    pin: Option<&str>,
) -> Result<Staged, LoadError> {
    let failed = |at: &Path| {
        let (plugin, path) = (plugin.to_owned(), at.to_owned());
        move |source| LoadError::Stage {
            plugin,
            path,
            source,
        }
    };
    let sha256 = sha256(plugin, path, pin)?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(cache)
        .map_err(failed(cache))?;
    let held = cache::hold(cache);
    let target = cache.join(format!("{sha256}.so"));
    // A server starts on a full disk, too: what is there and whole is not written again.
    let is_there = hash_file(&target).is_ok_and(|there| there == sha256)
        && verify::owners(plugin, &target).is_ok();
    if is_there {
        cache::touch(&target);
    } else {
        copy(path, cache, &target).map_err(failed(cache))?;
        if hash_file(&target).map_err(failed(&target))? != sha256 {
            return Err(failed(&target)(io::Error::other(
                "the copy has another hash than the original",
            )));
        }
    }
    // Others must not be able to exchange the copy between here and its opening.
    let real = fs::canonicalize(&target).map_err(failed(&target))?;
    verify::owners(plugin, &real)?;
    Ok(Staged {
        path: real,
        sha256,
        _held: held,
    })
}

/// Copies a file to `target` in `cache`, whole or not at all.
fn copy(path: &Path, cache: &Path, target: &Path) -> io::Result<()> {
    let mut copy = tempfile::Builder::new()
        .prefix(cache::UNFINISHED)
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(cache)?;
    // No more than may be hashed: a file that grows must not fill the disk.
    io::copy(&mut File::open(path)?.take(MOST_BYTES), &mut copy)?;
    copy.as_file()
        .set_permissions(Permissions::from_mode(0o500))?;
    copy.persist(target).map_err(|error| error.error)?;
    Ok(())
}

/// The hash of the file at `path`. Refused if it is not `pin`.
pub(crate) fn sha256(plugin: &str, path: &Path, pin: Option<&str>) -> Result<String, LoadError> {
    let sha256 = hash_file(path).map_err(|source| unreadable(plugin, path, source))?;
    check_pin(plugin, path, &sha256, pin)?;
    Ok(sha256)
}

fn unreadable(plugin: &str, path: &Path, source: io::Error) -> LoadError {
    LoadError::Unreadable {
        plugin: plugin.to_owned(),
        path: path.to_owned(),
        source,
    }
}

fn check_pin(plugin: &str, path: &Path, found: &str, pin: Option<&str>) -> Result<(), LoadError> {
    match pin.map(str::trim) {
        Some(expected) if !expected.eq_ignore_ascii_case(found) => Err(LoadError::Sha256 {
            plugin: plugin.to_owned(),
            path: path.to_owned(),
            expected: expected.to_owned(),
            found: found.to_owned(),
        }),
        _ => Ok(()),
    }
}

/// The hash of a file, in lower-case hexadecimal.
fn hash_file(path: &Path) -> io::Result<String> {
    // It may be growing.
    let mut file = File::open(path)?.take(MOST_BYTES + 1);
    let mut hash = Sha256::new();
    if io::copy(&mut file, &mut hash)? > MOST_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(hex::encode(hash.finalize()))
}
