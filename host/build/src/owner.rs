//! Which source the shared target folder holds the last build of, package by package.
//!
//! Cargo names what it builds after a package's name and its place within its workspace, so two
//! sources with a package of one name have one place in the target folder, and times of change do
//! not tell cargo that the other's build is there. Whoever builds after another source is made to
//! look new.

use std::{fs, io, path::Path, time::SystemTime};

/// Notes that `identity` builds these packages now. If any of them was another source's last, every
/// file of `mirror` becomes as new as this moment, so that cargo builds them again.
pub(crate) fn claim<'a>(
    owners: &Path,
    packages: impl Iterator<Item = &'a str>,
    identity: &str,
    mirror: &Path,
) -> io::Result<()> {
    fs::create_dir_all(owners)?;
    let mut foreign = false;
    for package in packages {
        let note = owners.join(package);
        foreign |= fs::read(&note).is_ok_and(|owner| owner != identity.as_bytes());
        // Before the build: one that is broken off has left its traces all the same.
        fs::write(&note, identity)?;
    }
    if foreign {
        renew(mirror, SystemTime::now())?;
    }
    Ok(())
}

fn renew(folder: &Path, now: SystemTime) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            renew(&entry.path(), now)?;
        } else if kind.is_file() {
            fs::File::open(entry.path())?.set_modified(now)?;
        }
    }
    Ok(())
}
