//! Files that are replaced whole or not at all, since somebody follows them.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::Path,
};

/// Puts this text in the place of a file.
pub(crate) fn with_text(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

/// Puts a new build of a library in its place.
pub(crate) fn with_new_build(path: &Path) {
    let new = path.with_extension("new");
    fs::copy(path, &new).unwrap();
    // What stands behind the sections of a library means nothing to anybody.
    let mut file = OpenOptions::new().append(true).open(&new).unwrap();
    file.write_all(b"built again").unwrap();
    drop(file);
    fs::rename(new, path).unwrap();
}
