//! A private copy of a library, named by its hash: what is opened is what was hashed, and new code
//! at an old path is really new (the system's loader knows libraries by their path).

use std::{
    fs::{self, DirBuilder, File, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::{LoadError, inspect::MOST_BYTES, verify};

/// A library in the cache.
pub(crate) struct Staged {
    pub(crate) path: PathBuf,
    /// Lower-case hexadecimal.
    pub(crate) sha256: String,
}

/// Copies `path` into `cache`. Refused if its hash is not `pin`.
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
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(cache)
        .map_err(failed(cache))?;
    let mut copy = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(cache)
        .map_err(failed(cache))?;
    let source = open(plugin, path)?;
    let sha256 = hash(source, |bytes| copy.write_all(bytes)).map_err(failed(cache))?;
    check_pin(plugin, path, &sha256, pin)?;
    let target = cache.join(format!("{sha256}.so"));
    copy.as_file()
        .set_permissions(Permissions::from_mode(0o500))
        .map_err(failed(&target))?;
    // Rewritten each time: whatever is there may have been damaged since.
    copy.persist(&target)
        .map_err(|error| error.error)
        .map_err(failed(&target))?;
    let written = hash_file(&target).map_err(failed(&target))?;
    if written != sha256 {
        return Err(failed(&target)(io::Error::other(
            "the copy has another hash than the original",
        )));
    }
    // Others must not be able to exchange the copy between here and its opening.
    let real = fs::canonicalize(&target).map_err(failed(&target))?;
    verify::owners(plugin, &real)?;
    Ok(Staged { path: real, sha256 })
}

/// The hash of the file at `path`. Refused if it is not `pin`.
pub(crate) fn sha256(plugin: &str, path: &Path, pin: Option<&str>) -> Result<String, LoadError> {
    let sha256 = hash_file(path).map_err(|source| unreadable(plugin, path, source))?;
    check_pin(plugin, path, &sha256, pin)?;
    Ok(sha256)
}

fn open(plugin: &str, path: &Path) -> Result<File, LoadError> {
    File::open(path).map_err(|source| unreadable(plugin, path, source))
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
    hash(File::open(path)?, |_| Ok(()))
}

fn hash(mut from: impl Read, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut length = 0;
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok(hex::encode(hash.finalize())),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        // It was smaller when it was looked at; it may be growing.
        length += read as u64;
        if length > MOST_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        hash.update(&buffer[..read]);
        each(&buffer[..read])?;
    }
}
