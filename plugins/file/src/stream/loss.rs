//! What is missing of a log that once was there: said when it opens, with the names of the files.
//!
//! The log goes on with what is left. Where it goes on is behind everything that was ever given
//! out, so that a group which is that far takes what is new for new.

use std::{ops::Range, path::Path};

use micro_plugin_api::{Error, Result, stream::GroupState};

use super::{
    index,
    segment::{self, Segment, place, position},
};

/// Behind every position that groups know of.
pub(super) fn known_to(groups: &[GroupState]) -> u64 {
    let pending = groups.iter().flat_map(|group| &group.pending);
    let pending = pending.map(|(position, _)| position.saturating_add(1));
    let next = groups.iter().map(|group| group.next);
    next.chain(pending).max().unwrap_or_default()
}

/// What a log must hold, as far as other files than the segments tell.
pub(super) struct Wanted<'a> {
    folder: &'a Path,
    /// Everything below was given out.
    known: u64,
}

impl<'a> Wanted<'a> {
    pub(super) fn new(folder: &'a Path, known: u64) -> Self {
        Self { folder, known }
    }

    /// Opens a segment with `open`, and says what is missing of it.
    pub(super) fn check(
        &mut self,
        number: u32,
        is_last: bool,
        open: impl FnOnce() -> Result<Segment>,
    ) -> Result<Segment> {
        // Opening may write the index anew.
        let indexed = index::end(&segment::path(self.folder, number));
        let segment = open()?;
        let (path, end) = (segment.file.path.display(), segment.contents.end);
        let (last_known, offset) = place(self.known);
        let noted = if last_known == number { offset } else { 0 };
        let whole = indexed.unwrap_or_default().max(noted);
        if end < whole {
            tracing::error!(
                segment = %path,
                "events are lost: {path} ends at byte {end}, and events up to byte {whole} of it \
                 were acknowledged; {ADVICE}"
            );
        } else if end == 0 && indexed.is_none() && (!is_last || last_known > number) {
            tracing::error!(
                segment = %path,
                "events are lost: {path} is empty, and the log had gone on behind it; {ADVICE}"
            );
        }
        self.known = self.known.max(position(number, whole));
        Ok(segment)
    }

    /// Says which segments are missing of those with these numbers, in order; not those that stood
    /// before the first: the log lets go of them itself. The number of the segment to begin, if the
    /// log ends at `end` and that is not behind all that was given out.
    ///
    /// # Errors
    /// `internal` if there is no such number.
    pub(super) fn behind(&self, numbers: &[u32], end: u64) -> Result<Option<u32>> {
        for pair in numbers.windows(2) {
            self.missing(pair[0].saturating_add(1)..pair[1]);
        }
        if self.known <= end {
            return Ok(None);
        }
        let (number, offset) = place(self.known);
        let begin = number.checked_add(u32::from(offset > 0)).ok_or_else(|| {
            Error::internal(format!(
                "the log of events in {} has no position left behind {}, which groups or {} know; \
                 restore the folder from a backup",
                self.folder.display(),
                self.known,
                self.folder.join("acknowledged").display()
            ))
        })?;
        let first = numbers.last().map_or(number, |last| last + 1);
        self.missing(first..begin);
        Ok(Some(begin))
    }

    fn missing(&self, numbers: Range<u32>) {
        if numbers.is_empty() {
            return;
        }
        let first = segment::path(self.folder, numbers.start);
        let last = segment::path(self.folder, numbers.end - 1);
        let (first, last) = (first.display(), last.display());
        match numbers.len() {
            1 => tracing::error!(
                segment = %first,
                "events are lost: {first} is missing, and the log had gone on in or behind it; {ADVICE}"
            ),
            count => tracing::error!(
                segment = %first,
                "events are lost: the {count} segments from {first} to {last} are missing, and the \
                 log had gone on in or behind them; {ADVICE}"
            ),
        }
    }
}

const ADVICE: &str = "what is left is served, and new events stand behind what was lost; check that \
                      disk, or stop the server and restore the folder from a backup";
