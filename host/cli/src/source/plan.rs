//! Which files of a source are packed, found out before anything is sent.

use std::{
    fmt,
    fs::{self, File, FileType, Metadata},
    io::{self, Read},
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
};

use ignore::{DirEntry, WalkBuilder};

use super::SourceError;

/// What will be packed, in the order of its paths.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(super) entries: Vec<Entry>,
    /// How many files there are; folders do not count.
    pub(crate) files: usize,
    /// How many bytes they hold.
    pub(crate) bytes: u64,
    /// What is left out, each to be named to whoever uploads.
    pub(crate) omitted: Vec<Omitted>,
}

/// A file or folder to pack.
#[derive(Debug)]
pub(super) struct Entry {
    /// Where it is.
    pub(super) path: PathBuf,
    /// What it is called in the archive.
    pub(super) name: PathBuf,
    pub(super) meta: Metadata,
    pub(super) mode: u32,
}

/// A link or special file that is not packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Omitted {
    /// Its path below the source.
    pub(crate) name: PathBuf,
    /// What it is, for people: `link to ../x`, `socket`, ….
    pub(crate) what: String,
}

impl fmt::Display for Omitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name.display(), self.what)
    }
}

impl Plan {
    /// Looks through `source`: a folder without what its `.gitignore` files exclude, or one file.
    pub(crate) fn new(source: &Path) -> Result<Self, SourceError> {
        let meta = fs::metadata(source).map_err(SourceError::read(source))?;
        if meta.is_dir() {
            folder(source)
        } else if meta.is_file() {
            file(source, meta)
        } else {
            Err(SourceError::Special(source.to_owned()))
        }
    }

    fn empty() -> Self {
        Self {
            entries: Vec::new(),
            files: 0,
            bytes: 0,
            omitted: Vec::new(),
        }
    }

    fn push(&mut self, path: PathBuf, name: PathBuf, meta: Metadata) {
        if meta.is_file() {
            self.files += 1;
            self.bytes += meta.len();
        }
        self.entries.push(Entry {
            mode: meta.permissions().mode() & 0o777,
            path,
            name,
            meta,
        });
    }
}

fn folder(source: &Path) -> Result<Plan, SourceError> {
    let mut plan = Plan::empty();
    let walk = WalkBuilder::new(source)
        .hidden(false)
        .ignore(false)
        // What a person's own git leaves out is no property of the folder.
        .git_global(false)
        .require_git(false)
        .follow_links(false)
        .filter_entry(|entry| !is_left_out(entry))
        .sort_by_file_path(Ord::cmp)
        .build();
    for entry in walk {
        let entry = entry.map_err(|error| SourceError::Walk(error.to_string()))?;
        let name = match entry.path().strip_prefix(source) {
            Ok(name) if !name.as_os_str().is_empty() => name.to_owned(),
            _ => continue,
        };
        let path = entry.into_path();
        let meta = fs::symlink_metadata(&path).map_err(SourceError::read(&path))?;
        if let Some(what) = special(&path, meta.file_type()) {
            plan.omitted.push(Omitted { name, what });
            continue;
        }
        if meta.is_file() {
            // Better now than in the middle of an upload.
            File::open(&path).map_err(SourceError::read(&path))?;
        }
        plan.push(path, name, meta);
    }
    if plan.files == 0 {
        return Err(SourceError::Empty(source.to_owned()));
    }
    Ok(plan)
}

/// Never part of a source: git's own folder, and what cargo has built.
fn is_left_out(entry: &DirEntry) -> bool {
    let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
    match entry.file_name().to_str() {
        // In a worktree or a submodule it is a file.
        Some(".git") => entry.depth() > 0,
        Some("target") if is_folder && entry.depth() > 0 => {
            let beside = entry.path().with_file_name("Cargo.toml");
            beside.is_file() || entry.path().join("CACHEDIR.TAG").is_file()
        }
        _ => false,
    }
}

fn special(path: &Path, kind: FileType) -> Option<String> {
    if kind.is_symlink() {
        let target = fs::read_link(path).unwrap_or_default();
        return Some(format!("link to {}", target.display()));
    }
    let what = if kind.is_fifo() {
        "named pipe"
    } else if kind.is_socket() {
        "socket"
    } else if kind.is_char_device() || kind.is_block_device() {
        "device"
    } else {
        return None;
    };
    Some(what.to_owned())
}

fn file(source: &Path, meta: Metadata) -> Result<Plan, SourceError> {
    let is_script = starts_as_script(source).map_err(SourceError::read(source))?;
    if !is_script && meta.permissions().mode() & 0o111 == 0 {
        return Err(SourceError::NotExecutable(source.to_owned()));
    }
    let name = fs::canonicalize(source).map_err(SourceError::read(source))?;
    let name = name.file_name().map(PathBuf::from).unwrap_or_default();
    let mut plan = Plan::empty();
    plan.push(source.to_owned(), name, meta);
    for entry in &mut plan.entries {
        entry.mode |= 0o700;
    }
    Ok(plan)
}

fn starts_as_script(path: &Path) -> io::Result<bool> {
    let mut start = Vec::new();
    File::open(path)?.take(2).read_to_end(&mut start)?;
    Ok(start == b"#!")
}
