//! Where the output of services is kept.
//!
//! A program writes straight into its file, opened for appending: no server has to be there for
//! it. That is why a full file cannot be renamed away, as the program would write on into it;
//! its older part is copied to `VERSION.log.1` and taken off its front ([`file`]).

mod file;
mod reader;
mod times;

use std::{
    collections::HashMap,
    fs::{DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use micro_plugin_api::runtime::InstanceKey;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

pub(crate) use file::{Log, Rotation};
pub(crate) use reader::{Line, Reader};

/// The most bytes of one part of a name, which most file systems hold to 255 with an ending.
const LONGEST_PART: usize = 240;

/// What stays as it is in the name of a log: everything else could mean something to a file system.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// `LOGS/NAMESPACE/NAME/VERSION.log`, each part percent-encoded.
pub(crate) fn path(logs_dir: &Path, key: &InstanceKey) -> PathBuf {
    logs_dir
        .join(encode(&key.namespace))
        .join(encode(&key.name))
        .join(format!("{}.log", encode(&key.version)))
}

fn encode(part: &str) -> String {
    let encoded = utf8_percent_encode(part, KEPT).to_string();
    // `.` and `..` would be folders, and an empty part would vanish.
    match encoded.as_str() {
        "" => "%".to_owned(),
        _ if encoded.bytes().all(|byte| byte == b'.') => encoded.replace('.', "%2E"),
        _ => encoded,
    }
}

/// Creates a folder and its parents that only this user may look into.
pub(crate) fn create_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Opens the log at `path` for a program to append to.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        create_folder(folder)?;
    }
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}

/// Whether every part of a key fits into the name of a file.
pub(crate) fn fits(key: &InstanceKey) -> bool {
    [&key.namespace, &key.name, &key.version]
        .iter()
        .all(|part| encode(part).len() <= LONGEST_PART)
}

/// The logs that are written or read now. Clones share them.
#[derive(Clone)]
pub(crate) struct Logs {
    folder: PathBuf,
    rotation: Rotation,
    open: Arc<Mutex<HashMap<PathBuf, Arc<Mutex<Log>>>>>,
}

impl Logs {
    pub(crate) fn new(folder: &Path, rotation: Rotation) -> Self {
        Self {
            folder: folder.to_owned(),
            rotation,
            open: Arc::default(),
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PathBuf, Arc<Mutex<Log>>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file that a program of `key` writes to.
    pub(crate) fn file(&self, key: &InstanceKey) -> io::Result<File> {
        open(&path(&self.folder, key))
    }

    /// The log of `key`, the same for all who use it; `NotFound` if there is none. Blocks.
    pub(crate) fn get(&self, key: &InstanceKey) -> io::Result<Arc<Mutex<Log>>> {
        let path = path(&self.folder, key);
        let mut logs = self.lock();
        if let Some(log) = logs.get(&path) {
            return Ok(log.clone());
        }
        let log = Arc::new(Mutex::new(Log::open(&path, self.rotation)?));
        logs.insert(path, log.clone());
        Ok(log)
    }

    /// Looks after the logs of the instances that run, and forgets those that nobody needs. Blocks.
    pub(crate) fn tend(&self, running: &[InstanceKey]) {
        for key in running {
            let tended = self.get(key).and_then(|log| lock(&log).tend());
            if let Err(error) = tended
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(service = %key, %error, "cannot look after the log of a service");
            }
        }
        let running: Vec<_> = running.iter().map(|key| path(&self.folder, key)).collect();
        self.lock()
            .retain(|path, log| running.contains(path) || Arc::strong_count(log) > 1);
    }
}

/// A log may be used after a panic of somebody else: it looks at its files anew each time.
pub(crate) fn lock(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cannot_step_out_of_the_folder_of_logs() {
        let key = |namespace: &str, name: &str, version: &str| InstanceKey {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            version: version.to_owned(),
        };
        for (given, expected) in [
            (key("micro", "hello", "latest"), "/l/micro/hello/latest.log"),
            (key("..", "../x", "."), "/l/%2E%2E/..%2Fx/%2E.log"),
            (key("", "a/b", "v 1"), "/l/%/a%2Fb/v%201.log"),
        ] {
            assert_eq!(path(Path::new("/l"), &given), Path::new(expected));
        }
    }
}
