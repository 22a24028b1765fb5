//! Reads a log line by line, over all its files.

use std::{
    io,
    sync::{Arc, Mutex},
};

use super::{file::Log, lock};

/// A longer line is handed on in pieces of this many bytes, so that a program that never ends its
/// line cannot make the server hold all of it.
const LONGEST_LINE: usize = 64 * 1024;

const BLOCK: u64 = 64 * 1024;

/// A line, and about when it was printed, in milliseconds since the Unix epoch.
pub(crate) struct Line {
    pub(crate) text: String,
    pub(crate) time: Option<u64>,
}

/// A place in a log. Only to be used where one may block.
pub(crate) struct Reader {
    log: Arc<Mutex<Log>>,
    at: u64,
    /// Where to end, unless that is when the reader is dropped.
    until: Option<u64>,
    /// What was read and is not yet a whole line; it ends at `at`.
    pending: Vec<u8>,
}

impl Reader {
    /// Begins before the last `tail` lines and not before what was printed after `since`; ends with what
    /// is there now unless it should `follow`.
    pub(crate) fn open(
        log: Arc<Mutex<Log>>,
        tail: Option<u64>,
        since: Option<u64>,
        follow: bool,
    ) -> io::Result<Self> {
        let mut locked = lock(&log);
        let end = locked.end()?;
        let mut at = 0;
        if let Some(since) = since {
            at = at.max(locked.start_since(since)?);
        }
        if let Some(tail) = tail {
            at = at.max(locked.start_of_tail(tail, BLOCK)?);
        }
        drop(locked);
        Ok(Self {
            log,
            at,
            until: (!follow).then_some(end),
            pending: Vec::new(),
        })
    }

    /// The whole lines that one more block brings; `None` at the end for now.
    pub(crate) fn lines(&mut self) -> io::Result<Option<Vec<Line>>> {
        let most = match self.until {
            // What a busy program prints meanwhile is not waited for.
            Some(until) => until.saturating_sub(self.at).min(BLOCK),
            None => BLOCK,
        };
        let mut log = lock(&self.log);
        let (start, bytes) = log.read(self.at, most)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        if start != self.at {
            // What came between is gone: the beginning of a line does not fit this end.
            self.pending.clear();
        }
        let before = self.pending.len();
        self.pending.extend_from_slice(&bytes);
        self.at = start + bytes.len() as u64;
        let begun = self.at - self.pending.len() as u64;
        let mut lines = Vec::new();
        let mut start = 0;
        for at in before..self.pending.len() {
            let is_end = self.pending[at] == b'\n';
            if is_end || may_split(at - start, self.pending[at]) {
                lines.push(Line {
                    text: text(&self.pending[start..at]),
                    time: log.time(begun + at as u64),
                });
                start = if is_end { at + 1 } else { at };
            }
        }
        drop(log);
        self.pending.drain(..start);
        Ok(Some(lines))
    }

    /// The last line, if the log ends without an end of line.
    pub(crate) fn rest(&mut self) -> Option<Line> {
        if self.pending.is_empty() {
            return None;
        }
        let line = Line {
            text: text(&self.pending),
            time: lock(&self.log).time(self.at),
        };
        self.pending.clear();
        Some(line)
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
