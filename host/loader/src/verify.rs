//! May this file run in this server? Who could have changed it, and was it built to run here.

use std::{
    fs::Metadata,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use micro_plugin_api::__abi::{API_MAJOR, Manifest, TARGET};
use nix::unistd::Uid;

use crate::LoadError;

/// Write permission of the group and of everybody.
const OTHERS_WRITE: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// rustc 1.98.0 can leave entries of function tables empty (rust-lang/rust#161441).
const BROKEN_COMPILER: &str = "1.98.0";

/// Checks that nobody but root and this server's user can change the file at `path`, or put
/// another in its place: neither where it is, nor on the way there through links.
pub(crate) fn owners(plugin: &str, path: &Path) -> Result<(), LoadError> {
    let unreadable = |source| LoadError::Unreadable {
        plugin: plugin.to_owned(),
        path: path.to_owned(),
        source,
    };
    let named = std::path::absolute(path).map_err(unreadable)?;
    let real = path.canonicalize().map_err(unreadable)?;
    check(plugin, &real, &real.metadata().map_err(unreadable)?, false)?;
    for folder in named.ancestors().skip(1).chain(real.ancestors().skip(1)) {
        check(
            plugin,
            folder,
            &folder.metadata().map_err(unreadable)?,
            true,
        )?;
    }
    Ok(())
}

fn check(plugin: &str, path: &Path, facts: &Metadata, folder: bool) -> Result<(), LoadError> {
    let owner = facts.uid();
    if owner != 0 && owner != Uid::effective().as_raw() {
        return Err(LoadError::Owner {
            plugin: plugin.to_owned(),
            path: path.to_owned(),
            owner,
        });
    }
    let mode = facts.permissions().mode() & 0o7777;
    // In a sticky folder nobody can rename or remove what is another's: /tmp is fine.
    let protected = folder && owner == 0 && mode & STICKY != 0;
    if mode & OTHERS_WRITE != 0 && !protected {
        return Err(LoadError::Writable {
            plugin: plugin.to_owned(),
            path: path.to_owned(),
            mode,
        });
    }
    Ok(())
}

/// Checks that what the library says of itself fits this server.
pub(crate) fn manifest(plugin: &str, manifest: &Manifest) -> Result<(), LoadError> {
    let plugin = plugin.to_owned();
    if manifest.target != TARGET {
        return Err(LoadError::Target {
            plugin,
            found: manifest.target.clone(),
        });
    }
    let major = manifest.api.split('.').next().unwrap_or_default();
    if major.parse() != Ok(API_MAJOR) {
        return Err(LoadError::Api {
            plugin,
            found: manifest.api.clone(),
        });
    }
    if manifest.panic != "unwind" {
        return Err(LoadError::Panic {
            plugin,
            found: manifest.panic.clone(),
        });
    }
    if manifest.rustc == BROKEN_COMPILER {
        return Err(LoadError::Compiler {
            plugin,
            found: manifest.rustc.clone(),
        });
    }
    Ok(())
}
