//! Finds out, when the store opens, whether all that was acknowledged is still there.
//!
//! The engine's journal ends where it cannot be read on: right for what a crash tore, and wrong for
//! a flipped bit in the middle, behind which acknowledged commits stand that it would drop without
//! a word. Two rules tell them apart without knowing the journal's format:
//!
//! - The last version that was acknowledged stands in a file of its own, written once the commit
//!   is on disk. A store that comes up with an earlier one has lost something.
//! - Only the newest journal can have a torn end. An older one that the engine cut before its last
//!   byte was damaged.
//!
//! What was found is kept in a file until a person has decided, since the engine's cut makes the
//! next opening look right.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use micro_plugin_api::{Error, Result, store::Version};
use xxhash_rust::xxh3::xxh3_64;

use super::engine;
use crate::directory;

/// The file that holds the last acknowledged version.
const ACKNOWLEDGED: &str = "ACKNOWLEDGED";

/// The file that says what is lost.
const DAMAGED: &str = "DAMAGED";

/// The last acknowledged version on disk: a lower bound of what a recovery must bring back.
#[derive(Debug)]
pub(super) struct Acknowledged(File);

impl Acknowledged {
    /// Opens it in the store's folder, or makes it.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(ACKNOWLEDGED);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.mode(0o600).open(&path);
        file.map(Self)
            .map_err(|error| directory::failed("open", &path, &error))
    }

    /// Notes that everything up to `version` is on disk. It need not be on disk itself: a process
    /// that is killed loses nothing of it, and what a power cut loses of it makes the bound lower.
    pub(super) fn note(&self, version: Version) -> io::Result<()> {
        let number = version.0.to_le_bytes();
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number);
        bytes[8..].copy_from_slice(&xxh3_64(&number).to_le_bytes());
        self.0.write_all_at(&bytes, 0)
    }

    /// The version; the first one if a power cut left nothing readable.
    fn read(&self) -> Version {
        let mut bytes = [0; 16];
        if self.0.read_exact_at(&mut bytes, 0).is_err() {
            return Version(0);
        }
        let (number, sum) = bytes.split_at(8);
        if xxh3_64(number).to_le_bytes() != *sum {
            return Version(0);
        }
        Version(
            number
                .iter()
                .rev()
                .fold(0, |version, byte| version << 8 | u64::from(*byte)),
        )
    }
}

/// What was there before the engine was opened.
#[derive(Debug)]
pub(super) struct Recovery {
    folder: PathBuf,
    /// The journals that cannot have a torn end, and where the last byte of each is. They are held
    /// open because the engine may delete them once it has read them.
    sealed: Vec<Sealed>,
}

#[derive(Debug)]
struct Sealed {
    path: PathBuf,
    file: File,
    end: u64,
}

impl Recovery {
    /// Looks at the store in `folder` before the engine does.
    ///
    /// # Errors
    /// `internal` if an earlier opening found that something is lost.
    pub(super) fn begin(folder: &Path) -> Result<Self> {
        let found = folder.join(DAMAGED);
        if let Ok(what) = fs::read_to_string(&found) {
            return Err(damaged(folder, what.trim()));
        }
        let recovery = Self {
            folder: folder.to_owned(),
            sealed: Vec::new(),
        };
        let sealed = sealed(&recovery.engine()).map_err(|error| {
            directory::failed("read the journals in", &recovery.engine(), &error)
        })?;
        Ok(Self { sealed, ..recovery })
    }

    /// The engine's folder.
    pub(super) fn engine(&self) -> PathBuf {
        self.folder.join("engine")
    }

    /// The error of an engine that does not open.
    pub(super) fn failed(&self, error: &fjall::Error) -> Error {
        engine::failed(&self.folder, "open the store", error)
    }

    /// Looks at what the engine, now open, made of it: `last` is the version of the last commit.
    ///
    /// # Errors
    /// `internal` if something that was acknowledged is lost.
    pub(super) fn finish(self, last: Version) -> Result<()> {
        let mut lost = Vec::new();
        for Sealed { path, file, end } in &self.sealed {
            let length = file.metadata().map(|metadata| metadata.len());
            let length = length.map_err(|error| directory::failed("look at", path, &error))?;
            if length < *end {
                lost.push(format!(
                    "the journal {} cannot be read from byte {length} on, {} bytes before its end",
                    path.display(),
                    end - length
                ));
            }
        }
        let acknowledged = Acknowledged::open(&self.folder)?.read();
        if last.0 < acknowledged.0 {
            lost.push(format!(
                "the last commit there is {}, and {} was acknowledged",
                last.0, acknowledged.0
            ));
        }
        if lost.is_empty() {
            return Ok(());
        }
        let what = lost.join("; ");
        let path = self.folder.join(DAMAGED);
        let written = File::create(&path).and_then(|mut file| {
            file.write_all(what.as_bytes())?;
            file.sync_all()
        });
        written.map_err(|error| directory::failed("write", &path, &error))?;
        Err(damaged(&self.folder, &what))
    }
}

fn damaged(folder: &Path, what: &str) -> Error {
    let folder = folder.display();
    Error::internal(format!(
        "the store in {folder} has lost acknowledged commits, its disk or somebody changed a journal: \
         {what}; restore the folder from a backup, or, to go on with what is left, remove \
         {folder}/{DAMAGED} and {folder}/{ACKNOWLEDGED}"
    ))
}

/// All journals but the newest, where the engine keeps its own.
fn sealed(engine: &Path) -> io::Result<Vec<Sealed>> {
    let entries = match fs::read_dir(engine) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut journals: Vec<(u64, PathBuf)> = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let number = path.file_stem().and_then(OsStr::to_str);
        let number = number.and_then(|number| number.parse().ok());
        if let (Some(number), Some("jnl")) = (number, path.extension().and_then(OsStr::to_str)) {
            journals.push((number, path));
        }
    }
    journals.sort();
    journals.pop();
    let open = |(_, path): (u64, PathBuf)| {
        let file = File::open(&path)?;
        let end = end(&file)?;
        Ok(Sealed { path, file, end })
    };
    journals.into_iter().map(open).collect()
}

/// Where the zeros begin that a journal is allocated with: behind its last other byte, which the
/// end of a commit has.
fn end(file: &File) -> io::Result<u64> {
    const CHUNK: u64 = 64 << 10;
    let mut end = file.metadata()?.len();
    let mut chunk = vec![0; 64 << 10];
    while end > 0 {
        let begin = end.saturating_sub(CHUNK);
        let length = usize::try_from(end - begin).unwrap_or(chunk.len());
        let bytes = &mut chunk[..length];
        file.read_exact_at(bytes, begin)?;
        if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
            return Ok(begin + last as u64 + 1);
        }
        end = begin;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_acknowledged_version_comes_back_and_a_torn_one_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let acknowledged = Acknowledged::open(folder.path()).unwrap();
        assert_eq!(acknowledged.read(), Version(0));
        acknowledged.note(Version(0x0102_0304_0506)).unwrap();
        let again = Acknowledged::open(folder.path()).unwrap();
        assert_eq!(again.read(), Version(0x0102_0304_0506));
        again.0.write_all_at(&[9], 3).unwrap();
        assert_eq!(again.read(), Version(0));
    }

    #[test]
    fn the_zeros_behind_a_journal_do_not_belong_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.jnl");
        for (text, zeros, wanted) in [
            ("", 0, 0),
            ("", 200_000, 0),
            ("abc", 0, 3),
            ("abc", 200_000, 3),
        ] {
            fs::write(&path, text).unwrap();
            let file = File::options().write(true).read(true).open(&path).unwrap();
            file.set_len(text.len() as u64 + zeros).unwrap();
            assert_eq!(end(&file).unwrap(), wanted);
        }
    }
}
