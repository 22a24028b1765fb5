//! What installations put into a folder that a user has files of their own in: so much may the next one
//! replace, and nothing else.

use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use super::place;

/// The files of installations, each with its hash, in a file of the format of `sha256sum`.
pub(super) struct Record {
    folder: PathBuf,
    file: PathBuf,
    /// What earlier installations put there.
    before: BTreeSet<String>,
    /// What this one did.
    now: BTreeSet<String>,
}

/// What became of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Placed {
    /// It is there now.
    Installed(PathBuf),
    /// Somebody's own file is there, and still is.
    LeftAlone(PathBuf),
}

impl Record {
    /// The record of the installations into `folder`, which is `file` below it.
    pub(super) fn read(folder: &Path, file: &str) -> Result<Self> {
        let path = folder.join(file);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        Ok(Self {
            folder: folder.to_owned(),
            file: path,
            before: text.lines().map(str::to_owned).collect(),
            now: BTreeSet::new(),
        })
    }

    /// Puts a copy of `from` into the folder `below`, unless there is a file of that name that no
    /// installation put there, or that was changed since.
    pub(super) fn place(&mut self, from: &Path, below: &str, mode: u32) -> Result<Placed> {
        let name = from.file_name().context("a file has a name")?;
        let below = Path::new(below);
        let to = self.folder.join(below).join(name);
        let line = |hash: &str| format!("{hash}  {}", below.join(name).display());
        let new = line(&hash(from)?);
        // A link that leads nowhere is somebody's, too.
        if to.symlink_metadata().is_ok() {
            let there = line(&hash(&to).unwrap_or_default());
            if there != new && !self.before.contains(&there) {
                return Ok(Placed::LeftAlone(to));
            }
        }
        // Written down first: an installation that is cut short must know its own files again.
        self.note(&new)?;
        self.now.insert(new);
        place(from, &self.folder.join(below), mode).map(Placed::Installed)
    }

    fn note(&self, line: &str) -> Result<()> {
        if self.before.contains(line) {
            return Ok(());
        }
        let append = || {
            fs::create_dir_all(self.file.parent().unwrap_or(&self.folder))?;
            let mut file = OpenOptions::new()
                .append(true)
                .create(true)
                .open(&self.file)?;
            writeln!(file, "{line}")
        };
        append().with_context(|| format!("cannot write {}", self.file.display()))
    }

    /// Forgets what is not there any more.
    pub(super) fn finish(self) -> Result<()> {
        let lines: Vec<_> = self.now.iter().map(|line| format!("{line}\n")).collect();
        fs::write(&self.file, lines.concat())
            .with_context(|| format!("cannot write {}", self.file.display()))
    }
}

fn hash(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(hex::encode(Sha256::digest(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder, and what an installation of `text` as `profiles/a.toml` comes to.
    struct Home(tempfile::TempDir);

    impl Home {
        fn new() -> Self {
            Self(tempfile::tempdir().expect("a folder"))
        }

        fn there(&self) -> PathBuf {
            self.0.path().join("own/profiles/a.toml")
        }

        fn install(&self, text: &str) -> bool {
            let from = self.0.path().join("a.toml");
            fs::write(&from, text).expect("a file");
            let folder = self.0.path().join("own");
            let mut record = Record::read(&folder, "installed").expect("a record");
            let placed = record.place(&from, "profiles", 0o644).expect("placed");
            record.finish().expect("written");
            match placed {
                Placed::Installed(to) => {
                    assert_eq!(to, self.there());
                    assert_eq!(fs::read_to_string(to).expect("a file"), text);
                    true
                }
                Placed::LeftAlone(to) => {
                    assert_eq!(to, self.there());
                    false
                }
            }
        }
    }

    #[test]
    fn an_installation_replaces_what_one_before_it_put_there() {
        let home = Home::new();
        for text in ["1", "2", "2", "3"] {
            assert!(home.install(text), "{text}");
        }
    }

    #[test]
    fn what_was_changed_stays_until_it_is_taken_away() {
        let home = Home::new();
        assert!(home.install("1"));
        fs::write(home.there(), "mine").expect("a file");
        for text in ["1", "2"] {
            assert!(!home.install(text), "{text}");
            assert_eq!(fs::read_to_string(home.there()).expect("a file"), "mine");
        }
        fs::remove_file(home.there()).expect("removed");
        assert!(home.install("2"));
        assert!(home.install("3"));
    }

    #[test]
    fn an_own_file_that_is_the_very_same_may_be_replaced_later() {
        let home = Home::new();
        fs::create_dir_all(home.there().parent().expect("a folder")).expect("made");
        fs::write(home.there(), "1").expect("a file");
        assert!(home.install("1"));
        assert!(home.install("2"));
    }

    #[test]
    fn a_link_is_somebodys_own() {
        let home = Home::new();
        fs::create_dir_all(home.there().parent().expect("a folder")).expect("made");
        std::os::unix::fs::symlink("nowhere", home.there()).expect("a link");
        assert!(!home.install("1"));
        assert!(home.there().is_symlink());
    }
}
