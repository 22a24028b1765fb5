//! One event on disk: a header with a checksum, then everything about it.
//!
//! ```text
//! "mEv1" | length of the body: u32 | CRC-32C of length and body: u32 | body
//! body: ingested: u64 | timestamp: u64 | id: 16 | place in batch: u16 | size of batch: u16
//!     | length of topic: u16 | length of metadata: u32 | topic | metadata | payload
//! metadata: length of text: u32 | text …, key and value in turn
//! ```
//! All numbers are little-endian.

use std::collections::BTreeMap;

use bytes::Bytes;
use micro_plugin_api::stream::{Event, NewEvent};
use uuid::Uuid;

/// The bytes before the body.
pub(super) const HEADER: usize = 12;
/// What a record begins with: a search for the next one behind damage stops here.
pub(super) const MAGIC: [u8; 4] = *b"mEv1";
/// The bytes of the body before the topic.
const FIXED: usize = 42;
/// No body is longer: the largest payload, and metadata of nothing but short texts.
const MAX_BODY: usize = 4 << 20;

/// Where an event stands in what was published with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) index: u16,
    pub(super) count: u16,
}

/// What a record says before anybody wants the whole event.
pub(super) struct Head<'a> {
    pub(super) ingested: u64,
    pub(super) place: Place,
    pub(super) topic: &'a str,
    /// The bytes of header and body.
    pub(super) length: usize,
}

/// How many bytes the record of an event has.
pub(super) fn length(event: &NewEvent) -> usize {
    let texts = event.metadata.len() * 2 * size_of::<u32>();
    HEADER + FIXED + event.size() + texts
}

/// Writes the record of an event behind what is in `out`.
pub(super) fn write(out: &mut Vec<u8>, event: &NewEvent, id: Uuid, ingested: u64, place: Place) {
    let begin = out.len();
    let body = length(event) - HEADER;
    let metadata = body - FIXED - event.topic.len() - event.payload.len();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&short(body).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&ingested.to_le_bytes());
    out.extend_from_slice(&event.timestamp.to_le_bytes());
    out.extend_from_slice(id.as_bytes());
    out.extend_from_slice(&place.index.to_le_bytes());
    out.extend_from_slice(&place.count.to_le_bytes());
    let topic = u16::try_from(event.topic.len()).expect("events were checked: a topic is short");
    out.extend_from_slice(&topic.to_le_bytes());
    out.extend_from_slice(&short(metadata).to_le_bytes());
    out.extend_from_slice(event.topic.as_bytes());
    for text in event.metadata.iter().flat_map(|(key, value)| [key, value]) {
        out.extend_from_slice(&short(text.len()).to_le_bytes());
        out.extend_from_slice(text.as_bytes());
    }
    out.extend_from_slice(&event.payload);
    let sum = checksum(&out[begin..]);
    out[begin + 8..begin + HEADER].copy_from_slice(&sum.to_le_bytes());
}

fn short(length: usize) -> u32 {
    u32::try_from(length).expect("events were checked: none has gigabytes")
}

/// The checksum of a record, that field of it left out.
fn checksum(record: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&record[4..8]), &record[HEADER..])
}

/// How many bytes the record has that begins with these, if one may.
pub(super) fn peek(bytes: &[u8]) -> Option<usize> {
    let header = bytes.get(..HEADER)?;
    let body = u32::from_le_bytes(header[4..8].try_into().ok()?) as usize;
    (header[..4] == MAGIC && (FIXED..=MAX_BODY).contains(&body)).then_some(HEADER + body)
}

/// The record that begins with these bytes, if it is whole and what was written.
pub(super) fn head(bytes: &[u8]) -> Option<Head<'_>> {
    let length = peek(bytes)?;
    let record = bytes.get(..length)?;
    let sum = u32::from_le_bytes(record[8..HEADER].try_into().ok()?);
    if checksum(record) != sum {
        return None;
    }
    let body = &record[HEADER..];
    let topic = usize::from(u16_at(body, 36)?);
    Some(Head {
        ingested: u64_at(body, 0)?,
        place: Place {
            index: u16_at(body, 32)?,
            count: u16_at(body, 34)?,
        },
        topic: std::str::from_utf8(body.get(FIXED..FIXED + topic)?).ok()?,
        length,
    })
}

/// The event of the record that these bytes are.
pub(super) fn event(record: &Bytes, position: u64) -> Option<Event> {
    let head = head(record)?;
    let body = &record[HEADER..head.length];
    let metadata_begin = FIXED + head.topic.len();
    let metadata_length = u32::from_le_bytes(body.get(38..FIXED)?.try_into().ok()?) as usize;
    let mut rest = body.get(metadata_begin..metadata_begin.checked_add(metadata_length)?)?;
    let mut metadata = BTreeMap::new();
    while !rest.is_empty() {
        let key = text(&mut rest)?;
        let value = text(&mut rest)?;
        metadata.insert(key, value);
    }
    Some(Event {
        id: Uuid::from_slice(body.get(16..32)?).ok()?.to_string(),
        topic: head.topic.to_owned(),
        payload: record.slice(HEADER + metadata_begin + metadata_length..head.length),
        metadata,
        timestamp: u64_at(body, 8)?,
        ingested: head.ingested,
        position,
    })
}

fn text(rest: &mut &[u8]) -> Option<String> {
    let (length, behind) = rest.split_first_chunk()?;
    let (text, behind) = behind.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *rest = behind;
    String::from_utf8(text.to_vec()).ok()
}

fn u64_at(body: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(body.get(at..at + 8)?.try_into().ok()?))
}

fn u16_at(body: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(body.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (NewEvent, Vec<u8>) {
        let event = NewEvent {
            topic: "micro/tópic".to_owned(),
            payload: Bytes::from_static(b"payload"),
            metadata: [("k", "v"), ("", "ü")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            timestamp: 7,
        };
        let mut bytes = Vec::new();
        let place = Place { index: 1, count: 3 };
        write(&mut bytes, &event, Uuid::from_u128(5), 9, place);
        (event, bytes)
    }

    #[test]
    fn what_was_written_is_read() {
        let (sent, bytes) = sample();
        assert_eq!(bytes.len(), length(&sent));
        let event = event(&Bytes::from(bytes.clone()), 11).unwrap();
        assert_eq!((event.topic, event.payload), (sent.topic, sent.payload));
        assert_eq!((event.metadata, event.timestamp), (sent.metadata, 7));
        assert_eq!((event.ingested, event.position), (9, 11));
        assert_eq!(event.id, Uuid::from_u128(5).to_string());
        assert_eq!(head(&bytes).unwrap().place, Place { index: 1, count: 3 });
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let (_, bytes) = sample();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(head(&damaged).is_none(), "bit {bit}");
        }
        for cut in 0..bytes.len() {
            assert!(head(&bytes[..cut]).is_none(), "cut at {cut}");
        }
    }
}
