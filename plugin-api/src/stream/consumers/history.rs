//! A topic's past, read piece by piece as somebody asks for it.

use std::{ops::Range, sync::Arc};

use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::EventLog;
use crate::{BoxStream, Error, Result, stream::Event};

/// How many events are read at once.
const CHUNK: u64 = 64;

/// The events of `topic` at `range`, at most `limit`; zero for all.
pub(super) fn read<L: EventLog>(
    log: Arc<L>,
    topic: String,
    range: Range<u64>,
    limit: u64,
) -> BoxStream<Result<Event>> {
    let left = if limit == 0 { u64::MAX } else { limit };
    let pieces = stream::try_unfold((range.start, left), move |(from, left)| {
        let (log, topic, end) = (log.clone(), topic.clone(), range.end);
        async move {
            if from >= end || left == 0 {
                return Ok::<_, Error>(None);
            }
            let max = usize::try_from(left.min(CHUNK)).unwrap_or(usize::MAX);
            let mut batch = log.read(&topic, from, max).await?;
            if batch.next <= from {
                return Ok(None);
            }
            batch.events.retain(|event| event.position < end);
            let left = left - batch.events.len() as u64;
            let events = stream::iter(batch.events.into_iter().map(Ok::<_, Error>));
            Ok(Some((events, (batch.next, left))))
        }
    });
    pieces.try_flatten().boxed()
}
