//! Unpacks an uploaded archive: whatever it holds, nothing is written outside the folder that was
//! made for it, and nothing in it leads there.

use std::{
    fs::{self, OpenOptions, Permissions},
    io::{self, Read},
    os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink},
    path::{Component, Path, PathBuf},
};

use tar::{Archive, Entry, EntryType};

/// How much an archive may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) bytes: u64,
    pub(crate) entries: usize,
}

/// Why an archive was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnpackError {
    #[error("the source is not a tar archive: {0}")]
    Malformed(io::Error),
    #[error("the source is empty")]
    Empty,
    #[error("the source holds more than {0} files and folders")]
    TooMany(usize),
    #[error("the source holds more than {0} bytes")]
    TooLarge(u64),
    #[error("{0:?} in the source lies outside its folder")]
    Outside(PathBuf),
    #[error("the link {name:?} in the source leads outside its folder, to {target:?}")]
    LinkOutside { name: PathBuf, target: PathBuf },
    #[error("{0:?} in the source lies behind a link or below a file")]
    Behind(PathBuf),
    #[error("{0:?} is in the source twice")]
    Twice(PathBuf),
    #[error("{0:?} in the source is neither a file nor a folder nor a link")]
    Special(PathBuf),
    #[error("cannot write {path:?}: {error}")]
    Write { path: PathBuf, error: io::Error },
}

/// Unpacks `archive` into `folder`, which exists and is empty. Owners and times are not kept, of
/// modes only whether a file is executable.
pub(crate) fn unpack(archive: impl Read, folder: &Path, limits: Limits) -> Result<(), UnpackError> {
    let mut archive = Archive::new(archive);
    let mut unpacking = Unpacking {
        folder,
        bytes_left: limits.bytes,
        limits,
    };
    let mut count = 0;
    for entry in archive.entries().map_err(UnpackError::Malformed)? {
        count += 1;
        if count > limits.entries {
            return Err(UnpackError::TooMany(limits.entries));
        }
        unpacking.entry(entry.map_err(UnpackError::Malformed)?)?;
    }
    if count == 0 {
        return Err(UnpackError::Empty);
    }
    Ok(())
}

struct Unpacking<'a> {
    folder: &'a Path,
    bytes_left: u64,
    limits: Limits,
}

impl Unpacking<'_> {
    fn entry(&mut self, mut entry: Entry<'_, impl Read>) -> Result<(), UnpackError> {
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            return Ok(());
        }
        let written = entry.path().map_err(UnpackError::Malformed)?.into_owned();
        let name = inside(&written).ok_or_else(|| UnpackError::Outside(written.clone()))?;
        self.make_parents(&name)?;
        let path = self.folder.join(&name);
        match kind {
            EntryType::Directory => {
                if name.as_os_str().is_empty() {
                    return Ok(());
                }
                self.make_folder(&name)
            }
            // The name of the folder itself, as something that is no folder.
            _ if name.as_os_str().is_empty() => Err(UnpackError::Special(written)),
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                self.file(&mut entry, name, &path)
            }
            EntryType::Symlink => {
                let target = link_target(&entry, &name)?;
                if !stays_inside(&name, &target) {
                    return Err(UnpackError::LinkOutside { name, target });
                }
                symlink(&target, &path).map_err(exists_or(name))
            }
            EntryType::Link => {
                let target = link_target(&entry, &name)?;
                let original = inside(&target).ok_or_else(|| UnpackError::LinkOutside {
                    name: name.clone(),
                    target: target.clone(),
                })?;
                self.check_parents(&original)?;
                let is_file = fs::symlink_metadata(self.folder.join(&original));
                if !is_file.is_ok_and(|meta| meta.is_file()) {
                    return Err(UnpackError::LinkOutside { name, target });
                }
                fs::hard_link(self.folder.join(original), &path).map_err(exists_or(name))
            }
            _ => Err(UnpackError::Special(name)),
        }
    }

    fn file(
        &mut self,
        entry: &mut Entry<'_, impl Read>,
        name: PathBuf,
        path: &Path,
    ) -> Result<(), UnpackError> {
        let executable = entry.header().mode().is_ok_and(|mode| mode & 0o111 != 0);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(if executable { 0o700 } else { 0o600 })
            .open(path)
            .map_err(exists_or(name.clone()))?;
        // One more than is left shows that there is more.
        let copied = io::copy(
            &mut entry.take(self.bytes_left.saturating_add(1)),
            &mut file,
        )
        .map_err(|error| UnpackError::Write { path: name, error })?;
        self.bytes_left = self
            .bytes_left
            .checked_sub(copied)
            .ok_or(UnpackError::TooLarge(self.limits.bytes))?;
        Ok(())
    }

    /// Makes the folders that `name` lies in.
    fn make_parents(&self, name: &Path) -> Result<(), UnpackError> {
        let parent = name.parent().unwrap_or(Path::new(""));
        let mut folder = PathBuf::new();
        for part in parent.components() {
            folder.push(part);
            self.make_folder(&folder).map_err(|error| match error {
                UnpackError::Twice(_) => UnpackError::Behind(name.to_owned()),
                other => other,
            })?;
        }
        Ok(())
    }

    /// Makes one folder, whose parents are real folders; one that is there already is fine.
    fn make_folder(&self, name: &Path) -> Result<(), UnpackError> {
        let path = self.folder.join(name);
        match fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_dir() => Ok(()),
            Ok(_) => Err(UnpackError::Twice(name.to_owned())),
            Err(_) => fs::create_dir(&path)
                .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o700)))
                .map_err(exists_or(name.to_owned())),
        }
    }

    /// Whether `name` lies in real folders alone.
    fn check_parents(&self, name: &Path) -> Result<(), UnpackError> {
        let parents = name.ancestors().skip(1);
        for parent in parents.filter(|parent| !parent.as_os_str().is_empty()) {
            let meta = fs::symlink_metadata(self.folder.join(parent));
            if !meta.is_ok_and(|meta| meta.is_dir()) {
                return Err(UnpackError::Behind(name.to_owned()));
            }
        }
        Ok(())
    }
}

fn link_target(entry: &Entry<'_, impl Read>, name: &Path) -> Result<PathBuf, UnpackError> {
    let target = entry.link_name().map_err(UnpackError::Malformed)?;
    target
        .map(|target| target.into_owned())
        .ok_or_else(|| UnpackError::Special(name.to_owned()))
}

fn exists_or(name: PathBuf) -> impl FnOnce(io::Error) -> UnpackError {
    move |error| match error.kind() {
        io::ErrorKind::AlreadyExists => UnpackError::Twice(name),
        _ => UnpackError::Write { path: name, error },
    }
}

/// A path below the folder, in plain steps downwards.
fn inside(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => plain.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(plain)
}

/// Whether a link called `name` with this target leads to a place inside. Only steps up at its
/// beginning count as safe: a `..` after a name could start from wherever another link leads.
fn stays_inside(name: &Path, target: &Path) -> bool {
    let depth = name.components().count() - 1;
    let mut up = 0;
    let mut down = false;
    for part in target.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if !down => up += 1,
            Component::Normal(_) => down = true,
            _ => return false,
        }
    }
    up <= depth
}
