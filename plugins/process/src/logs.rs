//! Where the output of services is kept, and how lines are read from it: the last ones, and new
//! ones as they come.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use micro_plugin_api::runtime::InstanceKey;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stays as it is in the name of a log: everything else could mean something to a file system.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// A longer line is handed on in pieces of this many bytes, so that a program that never ends its
/// line cannot make the server hold all of it.
const LONGEST_LINE: usize = 64 * 1024;

const BLOCK: usize = 64 * 1024;

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

/// Reads a log line by line, and again from its beginning when it was cut or replaced.
pub(crate) struct Reader {
    path: PathBuf,
    file: File,
    /// What was read and is not yet a whole line.
    pending: Vec<u8>,
}

impl Reader {
    /// Begins before the last `tail` lines, or at the start.
    pub(crate) fn open(path: &Path, tail: Option<u64>) -> io::Result<Self> {
        let mut file = File::open(path)?;
        if let Some(tail) = tail {
            let start = start_of_tail(&mut file, tail)?;
            file.seek(SeekFrom::Start(start))?;
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            pending: Vec::new(),
        })
    }

    /// The whole lines that one more block brings; `None` at the end of the file for now.
    pub(crate) fn lines(&mut self) -> io::Result<Option<Vec<String>>> {
        let before = self.pending.len();
        self.pending.reserve(BLOCK);
        (&mut self.file)
            .take(BLOCK as u64)
            .read_to_end(&mut self.pending)?;
        if self.pending.len() == before {
            return Ok(None);
        }
        let mut lines = Vec::new();
        let mut start = 0;
        for at in before..self.pending.len() {
            if self.pending[at] == b'\n' {
                lines.push(text(&self.pending[start..at]));
                start = at + 1;
            } else if may_split(at - start, self.pending[at]) {
                lines.push(text(&self.pending[start..at]));
                start = at;
            }
        }
        self.pending.drain(..start);
        Ok(Some(lines))
    }

    /// The last line, if the file ends without an end of line.
    pub(crate) fn rest(&mut self) -> Option<String> {
        if self.pending.is_empty() {
            return None;
        }
        let line = text(&self.pending);
        self.pending.clear();
        Some(line)
    }

    /// At the end of the file: begins again if it was cut, or if another took its place.
    pub(crate) fn reopen_if_changed(&mut self) -> io::Result<()> {
        let opened = self.file.metadata()?;
        match fs::metadata(&self.path) {
            Ok(now) if (now.dev(), now.ino()) != (opened.dev(), opened.ino()) => {
                self.file = File::open(&self.path)?;
                self.pending.clear();
            }
            Ok(_) if opened.len() < self.file.stream_position()? => {
                self.file.seek(SeekFrom::Start(0))?;
                self.pending.clear();
            }
            Ok(_) => {}
            // Removed: it may come back.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Whether an over-long line may be split before `next`: not within a character, while it is one.
fn may_split(length: usize, next: u8) -> bool {
    length >= LONGEST_LINE && (next & 0xC0 != 0x80 || length >= LONGEST_LINE + 4)
}

/// A line as text: what is no UTF-8 is replaced, and the `\r` of a foreign end of line dropped.
fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned()
}

/// Where the last `tail` lines begin. A last line without an end counts as one.
fn start_of_tail(file: &mut File, tail: u64) -> io::Result<u64> {
    let length = file.metadata()?.len();
    if tail == 0 {
        return Ok(length);
    }
    let mut found = 0;
    let mut end = length;
    let mut block = vec![0; BLOCK];
    while end > 0 {
        let start = end.saturating_sub(BLOCK as u64);
        let block = &mut block[..(end - start) as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(block)?;
        for at in (0..block.len()).rev() {
            let position = start + at as u64;
            // The end of the last line begins no further line.
            if block[at] == b'\n' && position + 1 < length {
                found += 1;
                if found == tail {
                    return Ok(position + 1);
                }
            }
        }
        end = start;
    }
    Ok(0)
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
