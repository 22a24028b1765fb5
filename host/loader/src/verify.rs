//! May this file run in this server? Who could have changed it, and was it built to run here.

use std::{
    fs::Metadata,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use micro_plugin_api::__abi::{API_MAJOR, Manifest, TARGET};
use nix::unistd::{Gid, Group, Uid, User};

use crate::LoadError;

/// Write permission of the group.
const GROUP_WRITE: u32 = 0o020;
/// Write permission of everybody.
const OTHERS_WRITE: u32 = 0o002;
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
    let others = mode & OTHERS_WRITE != 0
        || mode & GROUP_WRITE != 0 && !is_private(Gid::from_raw(facts.gid()), Uid::from_raw(owner));
    if others && !protected {
        return Err(LoadError::Writable {
            plugin: plugin.to_owned(),
            path: path.to_owned(),
            mode,
        });
    }
    Ok(())
}

/// Whether a group is the owner's own. Many systems give each user a group of their own name, and
/// then let the group write to whatever is made: a checkout, and all that cargo builds in it.
fn is_private(group: Gid, owner: Uid) -> bool {
    let (Ok(Some(group)), Ok(Some(owner))) = (Group::from_gid(group), User::from_uid(owner)) else {
        return false;
    };
    has_only(&group, &owner)
}

fn has_only(group: &Group, owner: &User) -> bool {
    group.gid == owner.gid
        && group.name == owner.name
        && group.mem.iter().all(|member| *member == owner.name)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_private_if_it_is_the_users_own_and_nobody_elses() {
        let me = User::from_uid(Uid::effective()).unwrap().unwrap();
        let group = |name: &str, gid: Gid, members: &[&str]| {
            let mut group = Group::from_gid(Gid::from_raw(0)).unwrap().unwrap();
            group.name = name.to_owned();
            group.gid = gid;
            group.mem = members.iter().map(|&member| member.to_owned()).collect();
            group
        };
        let name = me.name.as_str();
        assert!(has_only(&group(name, me.gid, &[]), &me));
        assert!(has_only(&group(name, me.gid, &[name]), &me));
        assert!(!has_only(&group(name, me.gid, &[name, "another"]), &me));
        assert!(!has_only(&group("users", me.gid, &[]), &me));
        let other = Gid::from_raw(me.gid.as_raw() + 1);
        assert!(!has_only(&group(name, other, &[]), &me));
        assert!(!is_private(Gid::from_raw(u32::MAX - 1), me.uid));
    }
}
