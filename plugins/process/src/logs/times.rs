//! When what was printed: files have no times, so while a server watches it notes how far a log
//! had come when. What came between two notes was printed between their times.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use crate::{notes, runtime::unix_millis};

/// How many notes are kept. When there are more, every second one of the older half goes: the
/// longer ago, the coarser.
const MOST: usize = 4096;

/// At `time`, the log had come to `place`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Note {
    place: u64,
    time: u64,
}

/// The notes of one log, in memory and in a file beside it: a line for each, `PLACE TIME`, after a
/// first one that holds the place at which the log's present file begins.
pub(crate) struct Times {
    path: PathBuf,
    notes: Vec<Note>,
    /// Whether the file has its first line.
    begun: bool,
}

impl Times {
    /// Reads the notes, and the place at which the present file begins. What cannot be read is left
    /// out: it is a help, not the log.
    pub(crate) fn open(path: &Path) -> (Self, u64) {
        let text = fs::read_to_string(path).unwrap_or_default();
        let mut lines = text.lines();
        let start = lines.next().and_then(|line| line.parse().ok());
        let mut notes: Vec<Note> = Vec::new();
        for line in lines {
            let note = line.split_once(' ').and_then(|(place, time)| {
                Some(Note {
                    place: place.parse().ok()?,
                    time: time.parse().ok()?,
                })
            });
            // Ever further, ever later: whatever else stands there is damaged.
            if let Some(note) = note
                && notes
                    .last()
                    .is_none_or(|last| last.place <= note.place && last.time <= note.time)
            {
                notes.push(note);
            }
        }
        let times = Self {
            path: path.to_owned(),
            notes,
            begun: start.is_some(),
        };
        (times, start.unwrap_or(0))
    }

    /// Notes that the log has come to `place` now. Its present file begins at `start`.
    pub(crate) fn note(&mut self, place: u64, start: u64) {
        let last = self.notes.last().copied();
        if last.is_some_and(|last| last.place > place) {
            // Cut by somebody: the notes are of what is gone.
            self.notes.clear();
        }
        // A clock that is set back does not turn the order.
        let time = unix_millis().max(last.map_or(0, |last| last.time));
        self.notes.push(Note { place, time });
        if self.notes.len() > MOST {
            let mut index = 0;
            self.notes.retain(|_| {
                index += 1;
                index > MOST / 2 || index % 2 == 0
            });
            self.rewrite(start);
        } else if self.begun {
            self.told(append(&self.path, &format!("{place} {time}\n")));
        } else {
            self.rewrite(start);
        }
    }

    /// The log's present file begins at `start` now, and there is nothing older than `oldest`.
    pub(crate) fn turn(&mut self, oldest: u64, start: u64) {
        self.notes.retain(|note| note.place >= oldest);
        self.rewrite(start);
    }

    fn rewrite(&mut self, start: u64) {
        let mut text = format!("{start}\n");
        for Note { place, time } in &self.notes {
            text.push_str(&format!("{place} {time}\n"));
        }
        self.begun = true;
        self.told(notes::write(&self.path, text.as_bytes()));
    }

    fn told(&self, written: io::Result<()>) {
        if let Err(error) = written {
            let path = self.path.display();
            tracing::debug!(%path, %error, "cannot note the times of a log");
        }
    }

    /// The place before which everything had been printed at `since`, if that is known.
    pub(crate) fn place(&self, since: u64) -> Option<u64> {
        let after = self.notes.partition_point(|note| note.time <= since);
        Some(self.notes[..after].last()?.place)
    }

    /// By when the byte before `place` had been printed.
    pub(crate) fn time(&self, place: u64) -> Option<u64> {
        let at = self.notes.partition_point(|note| note.place < place);
        Some(self.notes.get(at)?.time)
    }
}

fn append(path: &Path, line: &str) -> io::Result<()> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?
        .write_all(line.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_found_again_and_thinned() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("times");
        let (mut times, start) = Times::open(&path);
        assert_eq!((start, times.place(u64::MAX)), (0, None));
        times.note(10, 5);
        let noted = times.time(10).unwrap();
        assert_eq!(times.place(noted - 1), None);
        assert_eq!(times.place(noted), Some(10));
        assert_eq!(times.time(11), None);
        let mut file = fs::read_to_string(&path).unwrap();
        file.push_str("garbage\n5 5\n99 ");
        fs::write(&path, file).unwrap();
        let (again, start) = Times::open(&path);
        assert_eq!((start, again.notes), (5, times.notes.clone()));
        for place in 11..10_000 {
            times.note(place, 5);
        }
        assert!(times.notes.len() <= MOST);
        assert_eq!(times.notes.last().unwrap().place, 9_999);
        times.turn(9_990, 9_995);
        let (again, start) = Times::open(&path);
        assert_eq!((start, again.notes.len()), (9_995, 10));
    }
}
