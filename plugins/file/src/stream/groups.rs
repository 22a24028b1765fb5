//! Where groups are, kept in a file that is replaced as a whole.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use micro_plugin_api::{Result, stream::GroupState};

use crate::directory::{failed, sync};

/// The file, in the log's folder: a line with the checksum of the rest, then JSON.
fn path(folder: &Path) -> PathBuf {
    folder.join("groups")
}

/// What is kept. A file that is damaged is put aside, and said so: without it groups begin anew.
///
/// # Errors
/// `unavailable` if it cannot be read.
pub(super) fn read(folder: &Path) -> Result<Vec<GroupState>> {
    let path = path(folder);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => String::new(),
        Err(error) => return Err(failed("read", &path, &error)),
    };
    if let Some(groups) = decode(&text) {
        return Ok(groups);
    }
    let aside = path.with_extension("damaged");
    tracing::error!(
        "damaged: {} does not have the checksum that it was written with; it was put aside as {}, \
         and consumer groups begin anew; check that disk",
        path.display(),
        aside.display()
    );
    fs::rename(&path, &aside).map_err(|error| failed("put aside", &path, &error))?;
    Ok(Vec::new())
}

fn decode(text: &str) -> Option<Vec<GroupState>> {
    let (sum, json) = text.split_once('\n')?;
    let is_whole = u32::from_str_radix(sum, 16).ok()? == crc32c::crc32c(json.as_bytes());
    is_whole.then(|| serde_json::from_str(json).ok())?
}

/// Replaces what is kept; on disk when this returns.
///
/// # Errors
/// `unavailable` if that cannot be done; what was kept before stays.
pub(super) fn write(folder: &Path, groups: &[GroupState]) -> Result<()> {
    let path = path(folder);
    let written = serde_json::to_string(groups)
        .map_err(io::Error::from)
        .and_then(|json| {
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            writeln!(file, "{:08x}", crc32c::crc32c(json.as_bytes()))?;
            file.write_all(json.as_bytes())?;
            file.as_file().sync_data()?;
            file.persist(&path)?;
            Ok(())
        });
    written.map_err(|error| failed("write", &path, &error))?;
    sync(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_damage_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()), Ok(Vec::new()));
        let groups = vec![GroupState {
            topic: "micro/ü".to_owned(),
            group: "g".to_owned(),
            next: 1 << 40,
            pending: vec![(5, 1), (9, 3)],
            left: Some(7),
        }];
        write(folder.path(), &groups).unwrap();
        assert_eq!(read(folder.path()), Ok(groups));
        let file = path(folder.path());
        let mut bytes = fs::read(&file).unwrap();
        bytes[20] ^= 1;
        fs::write(&file, bytes).unwrap();
        assert_eq!(read(folder.path()), Ok(Vec::new()));
        assert!(file.with_extension("damaged").exists());
    }
}
