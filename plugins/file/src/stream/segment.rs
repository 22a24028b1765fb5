//! One file of the log: its events, and the index that stands beside it once it is full.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use micro_plugin_api::{Error, Result, stream::Event};

use super::{
    index,
    record::{self, HEADER},
    scan::{Contents, scan},
};
use crate::directory::{failed, sync};

/// How large a segment is made; larger if one batch needs that.
pub(super) const SIZE: u32 = 32 << 20;

/// How many bytes of an event are read before its length is known.
const AHEAD: usize = 1024;

/// A file of the log.
pub(super) struct Segment {
    pub(super) file: Arc<SegmentFile>,
    pub(super) contents: Contents,
}

/// What readers hold on to while the log goes on.
pub(super) struct SegmentFile {
    pub(super) number: u32,
    pub(super) path: PathBuf,
    file: File,
}

/// The position of an event, by the segment and where it begins in it.
pub(super) fn position(number: u32, offset: u32) -> u64 {
    u64::from(number) << 32 | u64::from(offset)
}

/// The segment and offset of a position.
pub(super) fn place(position: u64) -> (u32, u32) {
    #[expect(clippy::cast_possible_truncation, reason = "the halves of it")]
    ((position >> 32) as u32, position as u32)
}

/// The file that is a segment.
pub(super) fn path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:010}.events"))
}

/// The number of the segment that a file is, if it is one.
pub(super) fn number(path: &Path) -> Option<u32> {
    if path.extension()? != "events" {
        return None;
    }
    path.file_stem()?.to_str()?.parse().ok()
}

impl Segment {
    /// Makes an empty segment with room for `size` bytes, on disk when this returns.
    pub(super) fn create(folder: &Path, number: u32, size: u32) -> Result<Self> {
        let path = path(folder, number);
        // One of a segment that somebody deleted knows nothing of this one.
        index::delete(&path);
        let file = open(&path, true).map_err(|error| failed("make", &path, &error))?;
        let file = SegmentFile { number, path, file };
        let made = file.allocate(size).and_then(|()| file.file.sync_all());
        if let Err(error) = made {
            let error = failed("make room in", &file.path, &error);
            // Nothing is in it; if it stays, it is an empty segment.
            let _ = std::fs::remove_file(&file.path);
            return Err(error);
        }
        sync(folder)?;
        Ok(Self {
            file: Arc::new(file),
            contents: Contents::default(),
        })
    }

    /// Opens a segment that is full: by its index, or by looking at all of it if that is missing.
    pub(super) fn open_full(folder: &Path, number: u32) -> Result<Self> {
        let file = SegmentFile::open(folder, number)?;
        if let Some(contents) = index::read(&file.path) {
            return Ok(Self {
                file: Arc::new(file),
                contents,
            });
        }
        let (segment, _) = file.scanned(usize::MAX)?;
        segment.write_index();
        Ok(segment)
    }

    /// Opens the segment that was written to last, of which everything below `acknowledged` was on
    /// disk once, and brings it back to its last whole batch.
    pub(super) fn recover(folder: &Path, number: u32, acknowledged: u32) -> Result<Self> {
        let file = SegmentFile::open(folder, number)?;
        // There is one if those behind this segment are missing; it may grow from here on.
        index::delete(&file.path);
        let (segment, is_torn) = file.scanned(acknowledged as usize)?;
        if !is_torn {
            return Ok(segment);
        }
        let (file, end) = (&segment.file, segment.contents.end);
        // What stands behind the end must not look like something later.
        let cut = file.file.set_len(u64::from(end));
        let cut = cut.and_then(|()| file.allocate(SIZE.max(end)));
        cut.and_then(|()| file.file.sync_all())
            .map_err(|error| failed("recover", &file.path, &error))?;
        Ok(segment)
    }

    /// Ends the segment: nothing is written to it any more. Its free room is given back.
    pub(super) fn seal(&self) {
        let cut = self.file.file.set_len(u64::from(self.contents.end));
        if let Err(error) = cut.and_then(|()| self.file.file.sync_all()) {
            // It is read as it is; only room is lost.
            tracing::warn!("cannot cut {}: {error}", self.file.path.display());
        }
        self.write_index();
    }

    fn write_index(&self) {
        if let Err(error) = index::write(&self.file.path, &self.contents) {
            // The next start looks at the whole segment instead.
            tracing::warn!(
                "cannot write the index of {}: {error}",
                self.file.path.display()
            );
        }
    }

    /// Takes the segment's files away. Who reads them still may go on.
    pub(super) fn delete(&self) -> io::Result<()> {
        index::delete(&self.file.path);
        std::fs::remove_file(&self.file.path)
    }
}

impl SegmentFile {
    fn open(folder: &Path, number: u32) -> Result<Self> {
        let path = path(folder, number);
        let file = open(&path, false).map_err(|error| failed("open", &path, &error))?;
        Ok(Self { number, path, file })
    }

    /// The segment, by looking at all of it; and whether a write to it was cut off.
    fn scanned(self, acknowledged: usize) -> Result<(Segment, bool)> {
        let bytes = std::fs::read(&self.path);
        let bytes = bytes.map_err(|error| failed("read", &self.path, &error))?;
        if u32::try_from(bytes.len()).is_err() {
            return Err(Error::internal(format!(
                "{} is larger than any segment of events; it is none, or damaged",
                self.path.display()
            )));
        }
        let scan = scan(&bytes, acknowledged.min(bytes.len()));
        for damage in &scan.damage {
            self.report(damage.start);
        }
        if scan.is_torn {
            tracing::info!(
                segment = %self.path.display(),
                end = scan.contents.end,
                "the last write to the log of events was cut off; it ends before that"
            );
        }
        let segment = Segment {
            file: Arc::new(self),
            contents: scan.contents,
        };
        Ok((segment, scan.is_torn))
    }

    /// Makes sure that there is room for the segment to grow to `size` bytes, so that a sync need
    /// not write where the file ends.
    fn allocate(&self, size: u32) -> io::Result<()> {
        use nix::errno::Errno;
        match nix::fcntl::posix_fallocate(&self.file, 0, i64::from(size)) {
            // Not every filesystem can; the file grows as it is written then.
            Ok(()) | Err(Errno::EOPNOTSUPP | Errno::EINVAL | Errno::ENOSYS) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes and syncs.
    pub(super) fn append(&self, bytes: &[u8], offset: u32) -> io::Result<()> {
        self.file.write_all_at(bytes, u64::from(offset))?;
        self.file.sync_data()
    }

    /// Takes back what [`Self::append`] may have written from `offset` on before it failed.
    pub(super) fn retract(&self, offset: u32) -> io::Result<()> {
        self.file.set_len(u64::from(offset))?;
        self.file.sync_all()
    }

    /// The event at `offset`; `None` for one that is not what was written.
    pub(super) fn event(&self, offset: u32) -> Result<Option<Event>> {
        let record = self.record(offset)?;
        let position = position(self.number, offset);
        Ok(record.and_then(|record| record::event(&record, position)))
    }

    /// When the event at `offset` was taken in; `None` as above.
    pub(super) fn ingested(&self, offset: u32) -> Result<Option<u64>> {
        let record = self.record(offset)?;
        Ok(record.and_then(|record| Some(record::head(&record)?.ingested)))
    }

    fn record(&self, offset: u32) -> Result<Option<Bytes>> {
        let mut bytes = vec![0; AHEAD];
        let there = self.fill(&mut bytes, offset)?;
        let Some(length) = record::peek(&bytes[..there.max(HEADER)]) else {
            return Ok(None);
        };
        bytes.resize(length, 0);
        if length > there {
            let missing = self.fill(&mut bytes[there..], offset + short(there))?;
            bytes.truncate(there + missing);
        }
        Ok(Some(Bytes::from(bytes)))
    }

    /// Reads until the buffer is full or the file ends; how many bytes.
    fn fill(&self, bytes: &mut [u8], offset: u32) -> Result<usize> {
        let mut there = 0;
        while there < bytes.len() {
            let at = u64::from(offset) + there as u64;
            match self.file.read_at(&mut bytes[there..], at) {
                Ok(0) => break,
                Ok(read) => there += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed("read", &self.path, &error)),
            }
        }
        Ok(there)
    }

    /// Says where damage is. It is never served, and what is around it is.
    pub(super) fn report(&self, offset: usize) {
        tracing::error!(
            segment = %self.path.display(),
            offset,
            "damaged event: what is at offset {offset} of {} does not have the checksum that it was \
             written with; it is left out, check that disk",
            self.path.display()
        );
    }
}

fn short(length: usize) -> u32 {
    u32::try_from(length).expect("a part of a record")
}

fn open(path: &Path, new: bool) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(new)
        .mode(0o600)
        .open(path)
}
