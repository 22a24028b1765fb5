//! Publishing: a batch for one topic is one message. What is too large for one goes ahead in
//! pieces; a batch for many topics holds once that is said.

use std::{collections::BTreeMap, sync::Arc};

use async_nats::HeaderMap;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use micro_plugin_api::{Error, Result, stream::NewEvent};
use uuid::Uuid;

use super::{
    envelope,
    events::{BATCH, ID, PIECES},
    jet::Jet,
};
use crate::connection::Deadline;

/// What of a message's room is left for its header.
const HEADER: usize = 4 << 10;
/// How many messages of one batch are on their way at once.
const AT_ONCE: usize = 8;

/// Publishes a batch that is valid and not empty; the ids of its events.
pub(super) async fn publish(
    jet: Arc<Jet>,
    events: Vec<NewEvent>,
    deadline: Deadline,
) -> Result<Vec<String>> {
    // The server says how large a message may be when it is there.
    jet.setup.ensure(&jet, deadline).await?;
    let ids: Vec<_> = events.iter().map(|_| Uuid::now_v7().to_string()).collect();
    let mut topics = BTreeMap::<&str, Vec<(&NewEvent, &String)>>::new();
    for (event, id) in events.iter().zip(&ids) {
        topics.entry(&event.topic).or_default().push((event, id));
    }
    let batch = match (topics.len(), ids.first()) {
        (2.., Some(first)) => Some(first.as_str()),
        _ => None,
    };
    let topics = topics.into_iter();
    let parts: Vec<_> = topics
        .map(|(topic, events)| store(&jet, topic, events, batch, deadline))
        .collect();
    let stored = stream::iter(parts).buffer_unordered(AT_ONCE);
    stored.try_collect::<()>().await?;
    if let Some(batch) = batch {
        let decide = || jet.decide(batch, true, deadline);
        if !jet.surely("publish events", deadline, decide).await? {
            return Err(Error::unavailable(
                "the batch took too long to be published, so that none of it was; publish it again",
            ));
        }
    }
    Ok(ids)
}

/// Stores the events of one topic as one message.
async fn store(
    jet: &Jet,
    topic: &str,
    events: Vec<(&NewEvent, &String)>,
    batch: Option<&str>,
    deadline: Deadline,
) -> Result<()> {
    let Some(id) = events.first().map(|(_, id)| (*id).clone()) else {
        return Ok(());
    };
    let mut body = envelope::encode(events);
    let room = jet.connection.client().max_payload();
    let room = room.saturating_sub(HEADER).max(room / 2).max(1);
    let mut headers = HeaderMap::new();
    headers.insert(ID, id.as_str());
    if let Some(batch) = batch {
        headers.insert(BATCH, batch);
    }
    if body.len() > room {
        let last = body.split_off((body.len() - 1) / room * room);
        headers.insert(PIECES, pieces(jet, &id, &body, room, deadline).await?);
        body = last;
    }
    put(jet, &jet.layout.topic(topic), headers, body, deadline).await?;
    Ok(())
}

/// Stores a body in pieces of `room` bytes; where they are, as [`PIECES`] says it.
async fn pieces(
    jet: &Jet,
    id: &str,
    body: &Bytes,
    room: usize,
    deadline: Deadline,
) -> Result<String> {
    let subject = jet.layout.pieces(id);
    let starts = (0..body.len()).step_by(room);
    let pieces = starts.enumerate().map(|(number, start)| {
        let piece = body.slice(start..(start + room).min(body.len()));
        let mut headers = HeaderMap::new();
        headers.insert(ID, format!("{id}/{number}"));
        put(jet, &subject, headers, piece, deadline)
    });
    let pieces: Vec<_> = pieces.collect();
    let stored = stream::iter(pieces).buffered(AT_ONCE);
    let places: Vec<u64> = stored.try_collect().await?;
    let places: Vec<_> = places.iter().map(u64::to_string).collect();
    Ok(places.join(","))
}

/// Stores a message until that is acknowledged: its id makes it one, however often it is sent.
async fn put(
    jet: &Jet,
    subject: &str,
    headers: HeaderMap,
    body: Bytes,
    deadline: Deadline,
) -> Result<u64> {
    let store = || jet.store(subject, headers.clone(), body.clone(), deadline);
    jet.surely("publish events", deadline, store).await
}
