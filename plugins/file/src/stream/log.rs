//! The log as readers see it: its segments, and where in them the events of each topic are.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use micro_plugin_api::{
    Error, Result,
    stream::{Batch, Event, EventLog},
};

use super::{
    acknowledged,
    loss::Wanted,
    segment::{self, Segment, SegmentFile, place, position},
};
use crate::directory::failed;

/// After so many bytes a read ends.
const READ_BYTES: usize = 1 << 20;

/// All segments, by number. There is always one, and the last is the one that is written to.
pub(super) struct Log {
    folder: PathBuf,
    segments: RwLock<BTreeMap<u32, Segment>>,
}

/// Where an event is.
struct At {
    file: Arc<SegmentFile>,
    offset: u32,
}

impl Log {
    /// Opens the log in a folder, of which everything below the position `noted` was on disk once,
    /// and says what is missing. It goes on behind that position, and behind `known`, below which
    /// groups know events.
    ///
    /// # Errors
    /// `unavailable` if it cannot be read or written, `internal` for files that are no segments.
    pub(super) fn open(folder: &Path, noted: u64, known: u64) -> Result<Self> {
        let entries = fs::read_dir(folder).map_err(|error| failed("look into", folder, &error))?;
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let mut numbers: Vec<_> = paths.filter_map(|path| segment::number(&path)).collect();
        numbers.sort_unstable();
        let mut wanted = Wanted::new(folder, noted.max(known));
        let mut segments = BTreeMap::new();
        for &number in &numbers {
            let is_last = numbers.last() == Some(&number);
            let segment = wanted.check(number, is_last, || match is_last {
                false => Segment::open_full(folder, number),
                true => Segment::recover(folder, number, acknowledged::of_segment(noted, number)),
            })?;
            segments.insert(number, segment);
        }
        let log = Self {
            folder: folder.to_owned(),
            segments: RwLock::new(segments),
        };
        let begin = wanted.behind(&numbers, log.end())?;
        let begin = begin.or(numbers.is_empty().then_some(1));
        if let Some(number) = begin {
            let segment = Segment::create(folder, number.max(1), segment::SIZE)?;
            log.append(segment);
        }
        Ok(log)
    }

    /// Goes on in a new segment; the one that was written to is full.
    pub(super) fn append(&self, segment: Segment) {
        if let Some((_, full)) = self.segments().last_key_value() {
            full.seal();
        }
        self.segments_mut().insert(segment.file.number, segment);
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn segments(&self) -> RwLockReadGuard<'_, BTreeMap<u32, Segment>> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn segments_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<u32, Segment>> {
        self.segments
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Where events of a topic are, from a position on.
    fn locate(&self, topic: &str, from: u64, max: usize) -> Vec<At> {
        let (number, offset) = place(from);
        let segments = self.segments();
        let mut found = Vec::new();
        for (at, segment) in segments.range(number..) {
            let Some(offsets) = segment.contents.topics.get(topic) else {
                continue;
            };
            let begin = match *at == number {
                true => offsets.partition_point(|it| *it < offset),
                false => 0,
            };
            let offsets = offsets[begin..].iter().take(max - found.len());
            found.extend(offsets.map(|offset| At {
                file: segment.file.clone(),
                offset: *offset,
            }));
            if found.len() >= max {
                break;
            }
        }
        found
    }

    /// The events at these places, until they have enough bytes.
    fn read_all(places: &[At], from: u64) -> Result<Batch> {
        let mut batch = Batch {
            events: Vec::with_capacity(places.len()),
            next: from,
        };
        let mut bytes = 0;
        for At { file, offset } in places {
            match file.event(*offset)? {
                Some(event) => {
                    bytes += event.payload.len();
                    batch.events.push(event);
                }
                None => file.report(*offset as usize),
            }
            batch.next = position(file.number, *offset) + 1;
            if bytes >= READ_BYTES {
                break;
            }
        }
        Ok(batch)
    }

    /// The position of the first event of a topic at or after `time`, and how many of the topic's
    /// events in the same segment are before it.
    fn find(&self, topic: &str, time: u64) -> Result<Option<(u32, usize)>> {
        let found = {
            let segments = self.segments();
            let mut later = segments.iter().filter(|(_, segment)| {
                let times = segment.contents.times;
                times.is_some_and(|(_, last)| last >= time)
                    && segment.contents.topics.contains_key(topic)
            });
            // Events of others may be all that is later in it: then the next one's first is it.
            let Some((number, segment)) = later.next() else {
                return Ok(None);
            };
            let next = later.next().map(|(number, _)| *number);
            if segment
                .contents
                .times
                .is_some_and(|(first, _)| first >= time)
            {
                return Ok(Some((*number, 0)));
            }
            let offsets = segment.contents.topics.get(topic).cloned();
            (
                *number,
                segment.file.clone(),
                offsets.unwrap_or_default(),
                next,
            )
        };
        let (number, file, offsets, next) = found;
        let before = first_at(&file, &offsets, time)?;
        Ok(match next {
            _ if before < offsets.len() => Some((number, before)),
            Some(next) => Some((next, 0)),
            None => None,
        })
    }

    fn seek_now(&self, topic: &str, time: u64, skip: u64) -> Result<u64> {
        let Some((number, before)) = self.find(topic, time)? else {
            return Ok(self.end());
        };
        let mut skip = u64::try_from(before)
            .unwrap_or(u64::MAX)
            .saturating_add(skip);
        let segments = self.segments();
        for (number, segment) in segments.range(number..) {
            let Some(offsets) = segment.contents.topics.get(topic) else {
                continue;
            };
            if let Some(offset) = usize::try_from(skip).ok().and_then(|at| offsets.get(at)) {
                return Ok(position(*number, *offset));
            }
            skip -= (offsets.len() as u64).min(skip);
        }
        drop(segments);
        Ok(self.end())
    }
}

/// How many of the events at these offsets were taken in before `time`.
fn first_at(file: &SegmentFile, offsets: &[u32], time: u64) -> Result<usize> {
    let (mut low, mut high) = (0, offsets.len());
    while low < high {
        let middle = low + (high - low) / 2;
        // A damaged one tells nothing; the next one that does stands for it.
        let mut at = middle;
        let ingested = loop {
            match offsets.get(at).filter(|_| at < high) {
                None => break None,
                Some(offset) => match file.ingested(*offset)? {
                    None => at += 1,
                    ingested => break ingested,
                },
            }
        };
        match ingested {
            Some(ingested) if ingested < time => low = at + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}

/// Runs what may wait for the disk where it holds up nobody.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|failure| {
        Err(Error::internal(format!(
            "reading the log of events failed: {failure}"
        )))
    })
}

/// The log, shared with those who read it.
#[derive(Clone)]
pub(super) struct Reader(pub(super) Arc<Log>);

impl EventLog for Reader {
    async fn read(&self, topic: &str, from: u64, max: usize) -> Result<Batch> {
        let places = self.0.locate(topic, from, max);
        if places.is_empty() {
            return Ok(Batch {
                events: Vec::<Event>::new(),
                next: from,
            });
        }
        blocking(move || Log::read_all(&places, from)).await
    }

    async fn seek(&self, topic: &str, time: u64, skip: u64) -> Result<u64> {
        let (log, topic) = (self.0.clone(), topic.to_owned());
        blocking(move || log.seek_now(&topic, time, skip)).await
    }

    fn end(&self) -> u64 {
        self.0.end()
    }
}

impl Log {
    fn end(&self) -> u64 {
        let segments = self.segments();
        let last = segments.last_key_value();
        last.map_or(0, |(number, segment)| {
            position(*number, segment.contents.end)
        })
    }
}
