//! What the runtime notes of its instances on disk, so that after a sudden end of the server the
//! next one knows its processes again.
//!
//! A note is there before its process is (then without a leader: the mark in the environment finds
//! it), and goes after it. It is written by renaming a whole file over the old one. That is enough
//! for the death of the server; after a loss of power no process is left to be found, so nothing is
//! synced. A note holds the environment of the service, which may hold secrets: only this user may
//! read it.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use micro_plugin_api::runtime::{Spec, State};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{logs, procfs::Identity};

/// What is noted of one instance.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Note {
    /// Names this start among all.
    pub(crate) id: String,
    pub(crate) spec: Spec,
    /// The boot of the system in which its process was started.
    pub(crate) boot: String,
    /// Its process; `None` while it is being started, and when there is none.
    pub(crate) leader: Option<Identity>,
    pub(crate) started_at: u64,
    pub(crate) deaths: u32,
    pub(crate) state: State,
}

/// The folder of notes.
#[derive(Clone, Debug)]
pub(crate) struct Notes {
    folder: PathBuf,
    /// Names this runtime among all of this machine, for ever.
    pub(crate) root: String,
}

impl Notes {
    /// Opens the folder below `state_dir`, or makes it.
    pub(crate) fn open(state_dir: &Path) -> io::Result<Self> {
        let folder = state_dir.join("instances");
        logs::create_folder(&folder)?;
        let path = state_dir.join("runtime-id");
        let root = match fs::read_to_string(&path) {
            Ok(root) if Uuid::parse_str(&root).is_ok() => root,
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            // None yet, or damaged: then nothing can be known by it.
            _ => {
                let root = Uuid::new_v4().to_string();
                write(&path, root.as_bytes())?;
                root
            }
        };
        Ok(Self { folder, root })
    }

    /// The mark of the processes of an instance.
    pub(crate) fn mark(&self, id: &str) -> String {
        format!("{}:{id}", self.root)
    }

    /// All notes. A damaged one is removed and named in the log.
    pub(crate) fn read(&self) -> io::Result<Vec<Note>> {
        let mut notes = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            match serde_json::from_slice(&fs::read(&path)?) {
                Ok(note) => notes.push(note),
                Err(error) => {
                    let (shown, kind) = (path.display(), error.classify());
                    tracing::warn!(path = %shown, ?kind, "a damaged note of an instance is removed; what runs of it is ended");
                    fs::remove_file(&path)?;
                }
            }
        }
        Ok(notes)
    }

    pub(crate) fn write(&self, note: &Note) -> io::Result<()> {
        let text = serde_json::to_vec(note)?;
        write(&self.path(&note.id), &text)
    }

    /// Forgets an instance.
    pub(crate) fn remove(&self, id: &str) {
        match fs::remove_file(self.path(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(id, %error, "cannot remove the note of an instance");
            }
            _ => {}
        }
    }

    fn path(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }
}

/// Replaces a file as a whole.
pub(crate) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(content)?;
    drop(file);
    fs::rename(new, path)
}
