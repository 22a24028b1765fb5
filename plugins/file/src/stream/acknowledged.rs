//! How far publishers were told that their events are on disk: what tells damage of that from the
//! rest of a write that was cut off.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
};

use micro_plugin_api::Result;

use super::segment::{place, position};
use crate::directory::failed;

/// A note of a position. It is not synced: behind after a power failure, it is never ahead of what
/// is on disk.
pub(super) struct Acknowledged {
    file: File,
}

impl Acknowledged {
    /// Opens the note in the log's folder, and reads it. Waits for a writer of this process that
    /// still finishes: two of them at once would write over each other.
    pub(super) fn open(folder: &Path) -> Result<(Self, u64)> {
        let path = folder.join("acknowledged");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .and_then(|file| file.lock().map(|()| file))
            .map_err(|error| failed("open", &path, &error))?;
        let mut bytes = [0; 12];
        // One that is not whole is none: then every cut looks like that of a crash.
        let noted = file.read_exact_at(&mut bytes, 0).ok().and_then(|()| {
            let (number, sum) = bytes.split_first_chunk()?;
            let is_whole = crc32c::crc32c(number).to_le_bytes() == *sum;
            is_whole.then_some(u64::from_le_bytes(*number))
        });
        Ok((Self { file }, noted.unwrap_or_default()))
    }

    /// Notes that everything below `offset` of the segment is on disk.
    pub(super) fn note(&self, segment: u32, offset: u32) {
        let number = position(segment, offset).to_le_bytes();
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&number);
        bytes[8..].copy_from_slice(&crc32c::crc32c(&number).to_le_bytes());
        if let Err(error) = self.file.write_all_at(&bytes, 0) {
            tracing::debug!("cannot note which events were acknowledged: {error}");
        }
    }
}

/// How much of the segment `number` was acknowledged by the note: all of one before the noted one.
pub(super) fn of_segment(noted: u64, number: u32) -> u32 {
    match place(noted) {
        (segment, offset) if segment == number => offset,
        (segment, _) if segment > number => u32::MAX,
        _ => 0,
    }
}
