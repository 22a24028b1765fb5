//! How long events are kept: whole segments go when they are too old, or when there are too many
//! bytes, the oldest first.

use std::time::{SystemTime, UNIX_EPOCH};

use super::log::Log;

/// What is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retention {
    pub(super) max_age_millis: u64,
    pub(super) max_bytes: u64,
}

impl Retention {
    /// The moment before which events are too old, in Unix milliseconds.
    pub(super) fn oldest(&self) -> u64 {
        unix_millis().saturating_sub(self.max_age_millis)
    }

    /// Whether all events of the segment that is written to are too old, so that it should end.
    pub(super) fn wants_roll(&self, log: &Log) -> bool {
        let segments = log.segments();
        let times = segments
            .last_key_value()
            .and_then(|(_, it)| it.contents.times);
        times.is_some_and(|(_, last)| last < self.oldest())
    }

    /// Lets go of segments. The one that is written to stays.
    pub(super) fn apply(&self, log: &Log) {
        let mut gone = Vec::new();
        {
            let mut segments = log.segments_mut();
            let mut bytes: u64 = segments.values().map(|it| u64::from(it.contents.end)).sum();
            while segments.len() > 1 {
                let Some(first) = segments.first_entry() else {
                    break;
                };
                let times = first.get().contents.times;
                let is_old = times.is_none_or(|(_, last)| last < self.oldest());
                if bytes <= self.max_bytes && !is_old {
                    break;
                }
                bytes -= u64::from(first.get().contents.end);
                gone.push(first.remove());
            }
        }
        for segment in gone {
            let (path, times) = (segment.file.path.display(), segment.contents.times);
            match segment.delete() {
                Ok(()) => tracing::debug!(?times, "events were kept long enough: {path}"),
                // It is there again after the next start, and goes then.
                Err(error) => tracing::warn!("cannot remove {path}: {error}"),
            }
        }
    }
}

pub(super) fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis().try_into().unwrap_or(u64::MAX))
}
