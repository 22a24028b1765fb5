//! One log: its present file, the older ones beside it, and the turn from one to the next.
//!
//! A program appends to the present file all the time, whether a server runs or not. When the file
//! is full, its older part is copied into `….log.1` and then taken off its front with one call of
//! the system that writers do not notice (`FALLOC_FL_COLLAPSE_RANGE`: ext4, xfs), so that not a
//! byte is lost. Where the file system cannot do that, the file is copied whole and cut to nothing;
//! what is printed in the instant between the last copied byte and the cut is lost there.
//!
//! Every byte has a place, counted from the first one that the log ever had. It stays the same when
//! the byte moves to another file, so readers need not know of turns.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use nix::fcntl::{FallocateFlags, fallocate};

use super::times::Times;

/// How large a log may become.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rotation {
    /// The most bytes of a file. The present one may exceed it for a moment.
    pub(crate) bytes: u64,
    /// How many files there are at most, the present one among them.
    pub(crate) files: usize,
}

/// A file of a log: the places of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    start: u64,
    length: u64,
}

impl Part {
    fn end(self) -> u64 {
        self.start + self.length
    }
}

/// A log. Only to be used where one may block.
pub(crate) struct Log {
    path: PathBuf,
    rotation: Rotation,
    inode: u64,
    present: Part,
    /// The newest first, which is `….log.1`.
    older: VecDeque<Part>,
    times: Times,
}

impl Log {
    /// Opens what there is; `NotFound` if there is nothing.
    pub(crate) fn open(path: &Path, rotation: Rotation) -> io::Result<Self> {
        let meta = fs::metadata(path)?;
        let mut lengths = Vec::new();
        while let Ok(meta) = fs::metadata(numbered(path, lengths.len() + 1)) {
            lengths.push(meta.len());
        }
        let (times, noted) = Times::open(&appended(path, ".times"));
        // What is noted may lag behind by one turn, if the server died in it.
        let start = noted.max(lengths.iter().sum());
        let mut end = start;
        let older = lengths.into_iter().map(|length| {
            end -= length;
            Part { start: end, length }
        });
        let mut log = Self {
            path: path.to_owned(),
            rotation,
            inode: meta.ino(),
            older: older.collect(),
            present: Part { start, length: 0 },
            times,
        };
        log.look()?;
        Ok(log)
    }

    /// Sees how far the program has written by now.
    fn look(&mut self) -> io::Result<()> {
        let meta = match fs::metadata(&self.path) {
            Ok(meta) => meta,
            // Removed by somebody: it may come back.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        if meta.ino() != self.inode {
            // Somebody put another file in its place: what comes is new.
            self.inode = meta.ino();
            self.present.start = self.present.end();
        }
        let grown = meta.len() != self.present.length;
        self.present.length = meta.len();
        if grown {
            self.times.note(self.present.end(), self.present.start);
        }
        Ok(())
    }

    /// Notes the time of what was printed, and turns to a new file if the present one is full.
    pub(crate) fn tend(&mut self) -> io::Result<()> {
        self.look()?;
        // More than one turn if a lot came at once; a flood is not run after for ever.
        for _ in 0..=self.rotation.files {
            if self.present.length <= self.rotation.bytes {
                break;
            }
            self.turn()?;
        }
        Ok(())
    }

    fn turn(&mut self) -> io::Result<()> {
        let file = OpenOptions::new().read(true).write(true).open(&self.path)?;
        let Rotation { bytes, files } = self.rotation;
        let kept = files.saturating_sub(1);
        // Only whole blocks can be taken off the front, and never all of it.
        let block = file.metadata()?.blksize().max(4096);
        let mut from = 0;
        let most = bytes.saturating_mul(files.max(1) as u64);
        let excess = self.present.length.saturating_sub(most) / block * block;
        if excess > 0 {
            // It would be copied only to go at once.
            if take_front(&file, excess) {
                self.forget_older()?;
                self.present.start += excess;
                self.present.length -= excess;
            } else {
                from = excess;
            }
        }
        let blocks = ((self.present.length.saturating_sub(1)) / block).min((bytes / block).max(1));
        let front = from.max(blocks * block);
        let new = appended(&self.path, ".new");
        let mut copy = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        let mut length = 0;
        if kept > 0 {
            length = copy_range(&file, from, front, &mut copy)?;
        }
        let mut end = front;
        if from > 0 || !take_front(&file, front) {
            if kept > 0 {
                // Until there is nothing more, since what comes now is lost.
                loop {
                    let more = copy_range(&file, end, u64::MAX, &mut copy)?;
                    if more == 0 {
                        break;
                    }
                    end += more;
                    length += more;
                }
            }
            end = end.max(file.metadata()?.len());
            file.set_len(0)?;
        }
        drop(copy);
        if kept > 0 {
            self.shift(kept, &new)?;
            let start = self.present.start + from;
            self.older.push_front(Part { start, length });
            self.older.truncate(kept);
        } else {
            fs::remove_file(&new)?;
        }
        self.present.start += end;
        self.present.length = file.metadata()?.len();
        self.times.turn(self.oldest(), self.present.start);
        Ok(())
    }

    fn forget_older(&mut self) -> io::Result<()> {
        for number in (1..=self.older.len()).rev() {
            fs::remove_file(numbered(&self.path, number))?;
        }
        self.older.clear();
        Ok(())
    }

    /// Makes `new` the newest of the older files, and every other one older by one.
    fn shift(&self, kept: usize, new: &Path) -> io::Result<()> {
        for number in (1..=self.older.len()).rev() {
            let file = numbered(&self.path, number);
            if number >= kept {
                fs::remove_file(file)?;
            } else {
                fs::rename(file, numbered(&self.path, number + 1))?;
            }
        }
        fs::rename(new, numbered(&self.path, 1))
    }

    fn oldest(&self) -> u64 {
        self.older
            .back()
            .map_or(self.present.start, |part| part.start)
    }

    /// The place after the last byte so far.
    pub(crate) fn end(&mut self) -> io::Result<u64> {
        self.look()?;
        Ok(self.present.end())
    }

    /// What there is from `at`, or from the next place that is kept: at most `most` bytes of one
    /// file, with the place where they begin. Nothing at the end.
    pub(crate) fn read(&mut self, at: u64, most: u64) -> io::Result<(u64, Vec<u8>)> {
        self.look()?;
        // Cut by somebody: what is there is new.
        let at = if at > self.present.end() {
            self.present.start
        } else {
            at
        };
        let older = self.older.iter().enumerate().rev();
        let files = older
            .map(|(number, part)| (numbered(&self.path, number + 1), *part))
            .chain([(self.path.clone(), self.present)]);
        for (path, part) in files {
            if at < part.end() {
                let at = at.max(part.start);
                let mut bytes = vec![0; (part.end() - at).min(most) as usize];
                File::open(path)?.read_exact_at(&mut bytes, at - part.start)?;
                return Ok((at, bytes));
            }
        }
        Ok((at, Vec::new()))
    }

    /// Where the last `tail` lines begin. A last line without an end counts as one.
    pub(crate) fn start_of_tail(&mut self, tail: u64, block: u64) -> io::Result<u64> {
        let last = self.end()?;
        if tail == 0 {
            return Ok(last);
        }
        let older: Vec<_> = self.older.iter().copied().collect();
        let mut found = 0;
        for part in [self.present].into_iter().chain(older) {
            let mut end = part.end();
            while end > part.start {
                let start = end.saturating_sub(block).max(part.start);
                let (_, bytes) = self.read(start, end - start)?;
                for (index, byte) in bytes.iter().enumerate().rev() {
                    let place = start + index as u64;
                    // The end of the last line begins no further line.
                    if *byte == b'\n' && place + 1 < last {
                        found += 1;
                        if found == tail {
                            return Ok(place + 1);
                        }
                    }
                }
                end = start;
            }
        }
        Ok(self.oldest())
    }

    /// The place before which everything had been printed at `since`.
    pub(crate) fn start_since(&mut self, since: u64) -> io::Result<u64> {
        self.look()?;
        Ok(self.times.place(since).unwrap_or_else(|| self.oldest()))
    }

    /// About when the byte before this place was printed.
    pub(crate) fn time(&self, place: u64) -> Option<u64> {
        self.times.time(place)
    }
}

/// Takes so many bytes off the front of a file, unnoticed by who appends to it. False if this file
/// system cannot.
fn take_front(file: &File, bytes: u64) -> bool {
    let flags = FallocateFlags::FALLOC_FL_COLLAPSE_RANGE;
    i64::try_from(bytes).is_ok_and(|bytes| bytes > 0 && fallocate(file, flags, 0, bytes).is_ok())
}

fn copy_range(from: &File, start: u64, end: u64, to: &mut File) -> io::Result<u64> {
    let mut from = from.try_clone()?;
    from.seek(SeekFrom::Start(start))?;
    io::copy(&mut from.take(end.saturating_sub(start)), to)
}

fn appended(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn numbered(path: &Path, number: usize) -> PathBuf {
    appended(path, &format!(".{number}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn all(log: &mut Log) -> String {
        let (mut at, mut text) = (0, Vec::new());
        loop {
            let (start, bytes) = log.read(at, 7000).unwrap();
            if bytes.is_empty() {
                return String::from_utf8(text).unwrap();
            }
            at = start + bytes.len() as u64;
            text.extend(bytes);
        }
    }

    #[test]
    fn turns_lose_nothing_of_what_is_kept_and_places_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("latest.log");
        let mut writer = super::super::open(&path).unwrap();
        let rotation = Rotation {
            bytes: 20_000,
            files: 3,
        };
        let mut log = Log::open(&path, rotation).unwrap();
        let mut written = String::new();
        for number in 0..20_000 {
            let line = format!("line {number}\n");
            writer.write_all(line.as_bytes()).unwrap();
            written.push_str(&line);
            if number % 100 == 0 {
                log.tend().unwrap();
            }
        }
        log.tend().unwrap();
        let kept = all(&mut log);
        assert!((30_000..65_000).contains(&kept.len()), "{}", kept.len());
        assert!(written.ends_with(&kept));
        let end = log.end().unwrap();
        assert_eq!(end, written.len() as u64);
        let start = log.start_of_tail(2, 100).unwrap();
        let (_, last) = log.read(start, 100).unwrap();
        assert_eq!(last, b"line 19998\nline 19999\n");
        let files = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(files, 4, "three of the log, and one of times");
        // The next server reads the same, in the same places.
        let mut again = Log::open(&path, rotation).unwrap();
        assert_eq!(all(&mut again), kept);
        assert_eq!(again.end().unwrap(), end);
        assert_eq!(again.time(1).is_some(), log.time(1).is_some());
    }

    #[test]
    fn one_file_is_enough_if_that_is_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("latest.log");
        let mut writer = super::super::open(&path).unwrap();
        let rotation = Rotation {
            bytes: 10_000,
            files: 1,
        };
        let mut log = Log::open(&path, rotation).unwrap();
        writer.write_all(&[b'x'; 50_000]).unwrap();
        writer.write_all(b"last").unwrap();
        log.tend().unwrap();
        assert!(fs::metadata(&path).unwrap().len() < 10_000);
        writer.write_all(b" word").unwrap();
        assert!(all(&mut log).ends_with("word"));
    }
}
