//! The file that says which format a folder has, and which platform's data it holds.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use micro_plugin_api::{Error, Result};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{failed, sync};

/// The name of the file in its folder.
const NAME: &str = "FORMAT";

/// The format that this version writes, and the newest that it reads.
const FORMAT: u64 = 1;

/// What may stand in a folder that is new: the lock, what a crash left of the first start, and
/// what a file system puts at its root.
const NEW: &[&str] = &["LOCK", "FORMAT.new", "lost+found"];

#[derive(Serialize, Deserialize)]
struct Document {
    format: u64,
    platform: Uuid,
}

/// The part of the document that every version has.
#[derive(Deserialize)]
struct Version {
    format: u64,
}

/// The platform's id of a folder, which becomes one of ours if it is empty.
pub(super) fn read_or_create(folder: &Path) -> Result<Uuid> {
    let path = folder.join(NAME);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return create(folder),
        Err(error) => return Err(failed("read", &path, &error)),
    };
    let unreadable = |error| {
        Error::internal(format!(
            "{} is damaged: {error}; restore the folder from a backup",
            path.display()
        ))
    };
    let Version { format } = serde_json::from_str(&text).map_err(unreadable)?;
    if format > FORMAT {
        return Err(Error::unsupported(format!(
            "the folder {} has format {format}, written by a newer version of micro; this one reads \
             up to format {FORMAT}: run the newer version, or use another folder",
            folder.display()
        )));
    }
    let Document { platform, .. } = serde_json::from_str(&text).map_err(unreadable)?;
    Ok(platform)
}

fn create(folder: &Path) -> Result<Uuid> {
    let entries = fs::read_dir(folder).map_err(|error| failed("list", folder, &error))?;
    for entry in entries {
        let name = entry
            .map_err(|error| failed("list", folder, &error))?
            .file_name();
        if !NEW.iter().any(|new| name == *new) {
            return Err(Error::invalid(format!(
                "the folder {} holds {name:?} and no file {NAME}: it is not one of micro's; name an \
                 empty folder, or restore this one from a backup",
                folder.display()
            )));
        }
    }
    let document = Document {
        format: FORMAT,
        platform: Uuid::now_v7(),
    };
    let temporary = folder.join("FORMAT.new");
    write(&temporary, &document).map_err(|error| failed("write", &temporary, &error))?;
    fs::rename(&temporary, folder.join(NAME))
        .map_err(|error| failed("rename", &temporary, &error))?;
    sync(folder)?;
    Ok(document.platform)
}

fn write(path: &Path, document: &Document) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(&serde_json::to_vec(document)?)?;
    file.sync_all()
}
