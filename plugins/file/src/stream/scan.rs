//! What is in a segment: found by looking at all of it, record by record.

use std::{collections::HashMap, ops::Range, sync::Arc};

use super::record::{self, MAGIC};

/// Where the events of each topic begin in a segment.
pub(super) type Topics = HashMap<Arc<str>, Vec<u32>>;

/// What a segment holds.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Contents {
    pub(super) topics: Topics,
    /// Behind the last record.
    pub(super) end: u32,
    /// When the first and the last event were taken in; `None` if there is none.
    pub(super) times: Option<(u64, u64)>,
}

impl Contents {
    /// Adds an event behind all others.
    pub(super) fn push(&mut self, topic: &str, offset: u32, length: usize, ingested: u64) {
        match self.topics.get_mut(topic) {
            Some(offsets) => offsets.push(offset),
            None => {
                self.topics.insert(Arc::from(topic), vec![offset]);
            }
        }
        self.end = offset + u32::try_from(length).expect("a record is no longer than a segment");
        let first = self.times.map_or(ingested, |(first, _)| first);
        self.times = Some((first, ingested));
    }
}

/// What looking at a segment shows.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Scan {
    pub(super) contents: Contents,
    /// Ranges that hold something else than records, with records behind them.
    pub(super) damage: Vec<Range<usize>>,
    /// Whether something stands behind the last record: the rest of a write that was cut off.
    pub(super) is_torn: bool,
}

/// Looks at a segment, of which everything below `acknowledged` was on disk once. Behind that the
/// events of a batch that is not whole are left out: nobody was told that they are there.
pub(super) fn scan(bytes: &[u8], acknowledged: usize) -> Scan {
    let mut scan = Scan::default();
    // Records since the last one that ended a batch.
    let mut open: Vec<(usize, record::Head<'_>)> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if let Some(head) = record::head(&bytes[at..]) {
            let (length, place) = (head.length, head.place);
            open.push((at, head));
            at += length;
            if place.index + 1 == place.count {
                accept(&mut scan.contents, &mut open);
            }
            continue;
        }
        if at >= acknowledged && is_empty(&bytes[at..]) {
            break;
        }
        match next(bytes, at + 1) {
            Some(next) => {
                scan.damage.push(at..next);
                at = next;
            }
            None if at < acknowledged => {
                scan.damage.push(at..acknowledged);
                at = acknowledged;
            }
            None => {
                scan.is_torn = true;
                break;
            }
        }
    }
    let unsure = open.partition_point(|(at, _)| *at < acknowledged);
    scan.is_torn |= unsure < open.len();
    open.truncate(unsure);
    accept(&mut scan.contents, &mut open);
    let end = acknowledged
        .min(bytes.len())
        .max(scan.contents.end as usize);
    scan.contents.end = u32::try_from(end).expect("a segment is shorter than 4 GiB");
    // What is damaged behind the last whole batch was never whole.
    scan.damage.retain(|range| range.start < end);
    scan
}

fn accept(contents: &mut Contents, open: &mut Vec<(usize, record::Head<'_>)>) {
    for (offset, head) in open.drain(..) {
        let offset = u32::try_from(offset).expect("a segment is shorter than 4 GiB");
        contents.push(head.topic, offset, head.length, head.ingested);
    }
}

/// Whether nothing was ever written there.
fn is_empty(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    bytes
        .chunks(ZEROS.len())
        .all(|chunk| *chunk == ZEROS[..chunk.len()])
}

/// Where the next whole record begins.
fn next(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += bytes.get(at..)?.iter().position(|byte| *byte == MAGIC[0])?;
        if record::head(&bytes[at..]).is_some() {
            return Some(at);
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use micro_plugin_api::stream::NewEvent;
    use uuid::Uuid;

    use super::{super::record::Place, *};

    /// Batches of these sizes, and where each record begins.
    fn segment(batches: &[u16]) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut offsets) = (Vec::new(), Vec::new());
        for &count in batches {
            for index in 0..count {
                offsets.push(bytes.len());
                let event = NewEvent::new("t", vec![b'm'; 50]);
                let place = Place { index, count };
                record::write(&mut bytes, &event, Uuid::nil(), 1, place);
            }
        }
        (bytes, offsets)
    }

    fn found(scan: &Scan) -> Vec<usize> {
        let offsets = scan.contents.topics.get("t");
        offsets.map_or_else(Vec::new, |it| it.iter().map(|at| *at as usize).collect())
    }

    #[test]
    fn whole_segments_with_and_without_room_behind() {
        let (mut bytes, offsets) = segment(&[1, 3, 2]);
        let end = bytes.len();
        for room in [0, 1, 10_000] {
            bytes.resize(end + room, 0);
            let scan = scan(&bytes, 0);
            assert_eq!(found(&scan), offsets);
            assert_eq!((scan.contents.end as usize, scan.is_torn), (end, false));
            assert_eq!(scan.damage, []);
        }
        assert_eq!(scan(&[0; 5_000], 0), Scan::default());
    }

    #[test]
    fn every_torn_tail_ends_with_the_last_whole_batch() {
        let (bytes, offsets) = segment(&[2, 3]);
        for cut in offsets[2] + 1..bytes.len() {
            let mut torn = bytes[..cut].to_vec();
            torn.resize(bytes.len() + 100, 0);
            let scan = scan(&torn, 0);
            assert_eq!(found(&scan), offsets[..2], "cut at {cut}");
            assert_eq!(scan.contents.end as usize, offsets[2]);
            assert!(scan.is_torn);
            assert_eq!(scan.damage, []);
        }
    }

    #[test]
    fn damage_is_named_and_costs_one_event() {
        let (bytes, offsets) = segment(&[2, 3, 1]);
        for (damaged, at) in [(0, 3), (1, 5), (3, 9), (3, 30), (4, 60)] {
            let mut bytes = bytes.clone();
            bytes[offsets[damaged] + at] ^= 4;
            let scan = scan(&bytes, 0);
            let mut others = offsets.clone();
            let begin = others.remove(damaged);
            assert_eq!(found(&scan), others);
            let range = begin..offsets[damaged + 1];
            assert_eq!(scan.damage, [range]);
            assert!(!scan.is_torn);
        }
    }

    #[test]
    fn damage_of_what_was_acknowledged_is_no_torn_tail() {
        let (mut bytes, offsets) = segment(&[2, 3]);
        let end = bytes.len();
        bytes[offsets[4] + 20] ^= 1;
        bytes.resize(end + 1_000, 0);
        assert!(scan(&bytes, 0).is_torn);
        let scan = scan(&bytes, end);
        assert_eq!(found(&scan), offsets[..4]);
        let damage = offsets[4]..end;
        assert_eq!(scan.damage, [damage]);
        assert_eq!((scan.contents.end as usize, scan.is_torn), (end, false));
    }
}
