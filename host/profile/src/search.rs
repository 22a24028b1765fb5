//! Where profiles are looked for.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{Location, ProfileError, builtin};

/// Names that have no manifest: what a command line and a service say in `MICRO_PROFILE`.
pub const RESERVED: [&str; 2] = ["client", "service"];

/// The most bytes of a manifest. Larger ones take the parser seconds.
const MOST_BYTES: u64 = 256 * 1024;

/// What a variable stands for.
type Env = dyn Fn(&str) -> Option<String> + Send + Sync;

/// Where profiles are looked for by name, and what the variables in them stand for.
#[derive(Clone)]
pub struct Search {
    folders: Vec<PathBuf>,
    env: Arc<Env>,
}

/// A profile that can be named, as [`Search::list`] finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its file; `built-in profile NAME` for one that is part of the binary.
    pub file: Arc<str>,
    /// Whether another of the same name is found before it, so that this one is never loaded.
    pub is_shadowed: bool,
}

/// A manifest that was found.
pub(crate) struct Found {
    /// What error messages call it.
    pub(crate) file: Arc<str>,
    /// The same manifest has the same identity, however it was named.
    pub(crate) identity: String,
    pub(crate) folder: Option<PathBuf>,
    /// Where it is, as it was named and where links lead to; nowhere, if it is built in.
    pub(crate) paths: Vec<PathBuf>,
    pub(crate) text: String,
}

impl Search {
    /// In `folders`, first to last, and then among the built-in profiles. `env` is asked for the
    /// variables.
    pub fn new(
        folders: impl IntoIterator<Item = PathBuf>,
        env: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            folders: folders.into_iter().collect(),
            env: Arc::new(env),
        }
    }

    /// In the order users are promised: the folders of `path` (`$MICRO_PROFILE_PATH`),
    /// `~/.micro/profiles`, `<prefix>/share/micro/profiles` for a program that is installed as
    /// `<prefix>/bin/micro`, and the built-in ones. Variables come from the environment of this
    /// process.
    pub fn standard(
        path: impl IntoIterator<Item = PathBuf>,
        home: Option<&Path>,
        program: Option<&Path>,
    ) -> Self {
        // An empty part of a search path would mean the current folder.
        let listed = path
            .into_iter()
            .filter(|folder| !folder.as_os_str().is_empty());
        let own = home.map(|home| home.join(".micro/profiles"));
        let shared = program
            .and_then(Path::parent)
            .and_then(Path::parent)
            .map(|prefix| prefix.join("share/micro/profiles"));
        // A value that is not UTF-8 cannot stand in a TOML string: as if it were not set.
        Self::new(listed.chain(own).chain(shared), |name| {
            std::env::var(name).ok()
        })
    }

    /// Every profile that has a name, in the order of the search. A folder that is not there, or
    /// cannot be read, has none.
    pub fn list(&self) -> Vec<Listed> {
        let mut all = Vec::<Listed>::new();
        for folder in &self.folders {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            let mut names: Vec<String> = entries
                .filter_map(|entry| entry.file_name().into_string().ok())
                .filter_map(|file| file.strip_suffix(".toml").map(str::to_owned))
                .filter(|name| is_name(name) && folder.join(format!("{name}.toml")).is_file())
                .collect();
            names.sort();
            for name in names {
                let path = folder.join(format!("{name}.toml"));
                add(&mut all, name, path.display().to_string().into());
            }
        }
        for (name, _) in builtin::BUILTIN {
            add(&mut all, (*name).to_owned(), builtin::file(name));
        }
        all
    }

    /// The folders that are searched, first to last.
    pub fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    pub(crate) fn env(&self) -> &dyn Fn(&str) -> Option<String> {
        &*self.env
    }

    /// The manifest of a name or path; a relative path stands below `base` (the folder of the
    /// manifest that names it), or else below the current folder.
    pub(crate) fn find(
        &self,
        name_or_path: &str,
        base: Option<&Path>,
    ) -> Result<Found, ProfileError> {
        if RESERVED.contains(&name_or_path) {
            return Err(ProfileError::Reserved(name_or_path.to_owned()));
        }
        if name_or_path.contains('/') || name_or_path.ends_with(".toml") {
            let path = base.map_or_else(
                || PathBuf::from(name_or_path),
                // Through its parts, which leaves out a `./` in the middle.
                |base| base.join(name_or_path).components().collect(),
            );
            return read(path);
        }
        if !is_name(name_or_path) {
            return Err(ProfileError::BadName(name_or_path.to_owned()));
        }
        for folder in &self.folders {
            let path = folder.join(format!("{name_or_path}.toml"));
            if path.is_file() {
                return read(path);
            }
        }
        if let Some(text) = builtin::text(name_or_path) {
            let file = builtin::file(name_or_path);
            return Ok(Found {
                identity: file.to_string(),
                file,
                folder: None,
                paths: Vec::new(),
                text: text.to_owned(),
            });
        }
        Err(ProfileError::NotFound {
            name: name_or_path.to_owned(),
            places: self.places(),
        })
    }

    fn places(&self) -> String {
        let builtin: Vec<_> = builtin::BUILTIN.iter().map(|(name, _)| *name).collect();
        let builtin = format!("among the built-in profiles ({})", builtin.join(", "));
        if self.folders.is_empty() {
            return builtin;
        }
        let folders: Vec<_> = self
            .folders
            .iter()
            .map(|folder| folder.display().to_string())
            .collect();
        format!("in {} and {builtin}", folders.join(", "))
    }
}

impl fmt::Debug for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Search")
            .field("folders", &self.folders)
            .finish_non_exhaustive()
    }
}

/// Whether a text can be the name of a profile: it is looked up as a file name.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('.')
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

fn add(all: &mut Vec<Listed>, name: String, file: Arc<str>) {
    let is_shadowed = all.iter().any(|listed| listed.name == name);
    // What is reserved is never looked up.
    if !RESERVED.contains(&name.as_str()) {
        all.push(Listed {
            name,
            file,
            is_shadowed,
        });
    }
}

/// A manifest that is not there yet.
pub(crate) fn of_text(name: &str, file: &Path, text: String) -> Result<Found, ProfileError> {
    if RESERVED.contains(&name) {
        return Err(ProfileError::Reserved(name.to_owned()));
    }
    if !is_name(name) {
        return Err(ProfileError::BadName(name.to_owned()));
    }
    let file_name = file.display().to_string();
    Ok(Found {
        file: file_name.as_str().into(),
        identity: file_name,
        folder: file.parent().map(Path::to_owned),
        paths: Vec::new(),
        text,
    })
}

pub(crate) fn read(path: PathBuf) -> Result<Found, ProfileError> {
    let failed = |source| ProfileError::Read {
        path: path.clone(),
        source,
    };
    let identity = fs::canonicalize(&path).map_err(failed)?;
    let file: Arc<str> = path.display().to_string().into();
    let text = String::from_utf8(bytes_of(&identity).map_err(failed)?).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        let file = file.clone();
        ProfileError::invalid(
            Location { file, line },
            "what stands here is not UTF-8, which TOML is written in; save it as that",
        )
    })?;
    Ok(Found {
        file,
        identity: identity.display().to_string(),
        folder: identity.parent().map(Path::to_owned),
        paths: vec![path, identity],
        text,
    })
}

/// What is in a file that is one, and no larger than any manifest is: who follows a profile reads
/// whatever is put in its place, and must come back from it.
fn bytes_of(path: &Path) -> io::Result<Vec<u8>> {
    // Opening a pipe would wait for who writes into it.
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() && !metadata.is_dir() {
        let text = "it is no regular file";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let mut bytes = Vec::new();
    let mut file = File::open(path)?.take(MOST_BYTES + 1);
    if file.read_to_end(&mut bytes)? as u64 > MOST_BYTES {
        let text = format!("it is larger than {} KiB", MOST_BYTES / 1024);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(bytes)
}
