//! Events in a message: a line of JSON about all of them, then their payloads, one after the
//! other. A batch for one topic is one message, so that it is there as a whole or not at all.

use std::collections::BTreeMap;

use bytes::Bytes;
use micro_plugin_api::stream::{Event, NewEvent};
use serde::{Deserialize, Serialize};

/// How many bits of a position tell the events of one message apart; the others are the place of
/// the message in the stream.
const WITHIN: u32 = 10;

// Every event of the largest batch has a position of its own.
const _: () = assert!(NewEvent::MAX_BATCH <= 1 << WITHIN);

/// The position of the event `index` of the message `sequence`.
pub(super) fn position(sequence: u64, index: usize) -> u64 {
    (sequence << WITHIN) + index as u64
}

/// The message that holds the event at `position`, and which of its events that is.
pub(super) fn place(position: u64) -> (u64, usize) {
    let index = position & ((1 << WITHIN) - 1);
    (
        position >> WITHIN,
        usize::try_from(index).unwrap_or_default(),
    )
}

#[derive(Serialize, Deserialize)]
struct About {
    id: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    timestamp: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
    /// How many bytes its payload has.
    size: usize,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The body of a message with these events, under these ids.
pub(super) fn encode<'a>(events: impl IntoIterator<Item = (&'a NewEvent, &'a String)>) -> Bytes {
    let (mut about, mut payloads) = (Vec::new(), Vec::new());
    for (event, id) in events {
        about.push(About {
            id: id.clone(),
            timestamp: event.timestamp,
            metadata: event.metadata.clone(),
            size: event.payload.len(),
        });
        payloads.push(&event.payload);
    }
    // Texts and numbers always have a JSON text.
    let mut body = serde_json::to_vec(&about).unwrap_or_default();
    body.reserve(1 + payloads.iter().map(|payload| payload.len()).sum::<usize>());
    body.push(b'\n');
    for payload in payloads {
        body.extend_from_slice(payload);
    }
    body.into()
}

/// The events of a message; `None` if it is none of ours, or damaged.
pub(super) fn decode(
    body: &Bytes,
    topic: &str,
    sequence: u64,
    ingested: u64,
) -> Option<Vec<Event>> {
    // JSON of ours has no line break in it.
    let end = body.iter().position(|byte| *byte == b'\n')?;
    let about: Vec<About> = serde_json::from_slice(&body[..end]).ok()?;
    if about.is_empty() || about.len() > NewEvent::MAX_BATCH {
        return None;
    }
    let mut at = end + 1;
    let mut events = Vec::with_capacity(about.len());
    for (index, about) in about.into_iter().enumerate() {
        let until = at.checked_add(about.size).filter(|it| *it <= body.len())?;
        events.push(Event {
            id: about.id,
            topic: topic.to_owned(),
            payload: body.slice(at..until),
            metadata: about.metadata,
            timestamp: about.timestamp,
            ingested,
            position: position(sequence, index),
        });
        at = until;
    }
    (at == body.len()).then_some(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_and_damage_is_noticed() {
        let events: Vec<_> = (0..3)
            .map(|i| NewEvent {
                payload: Bytes::from(vec![b'\n'; i]),
                metadata: BTreeMap::from([(format!("k\n{i}"), "ü\0".to_owned())]),
                timestamp: i as u64,
                ..NewEvent::new("t", "")
            })
            .collect();
        let ids: Vec<_> = (0..3).map(|i| format!("id-{i}")).collect();
        let body = encode(events.iter().zip(&ids));
        let decoded = decode(&body, "t", 7, 9).unwrap();
        assert_eq!(decoded.len(), 3);
        for (i, (event, sent)) in decoded.iter().zip(&events).enumerate() {
            assert_eq!((&event.id, event.ingested), (&ids[i], 9));
            assert_eq!(event.payload, sent.payload);
            assert_eq!(event.metadata, sent.metadata);
            assert_eq!(event.timestamp, sent.timestamp);
            assert_eq!(place(event.position), (7, i));
        }
        assert_eq!(decode(&body.slice(..body.len() - 1), "t", 7, 9), None);
        let longer = Bytes::from([&body[..], b"x"].concat());
        assert_eq!(decode(&longer, "t", 7, 9), None);
        assert_eq!(decode(&Bytes::from_static(b"[]\n"), "t", 7, 9), None);
        assert_eq!(decode(&Bytes::from_static(b"hello"), "t", 7, 9), None);
    }
}
