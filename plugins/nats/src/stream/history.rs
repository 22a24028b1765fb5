//! A topic's past, read piece by piece as somebody asks for it.

use std::{collections::VecDeque, sync::Arc};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use micro_plugin_api::{
    BoxStream, Error, Result,
    stream::{Event, HistoryQuery, Start},
};

use super::{api::Failure, entry::Entry, jet::Jet, line::Line, puller::Pulled};
use crate::connection::{Deadline, backoff};

/// How many messages are asked for at once.
const BATCH: u64 = 64;

struct Reader {
    jet: Arc<Jet>,
    topic: String,
    line: Line,
    /// How many messages were there when it was asked for, and are not read yet.
    messages: u64,
    /// How many events are left out still.
    skip: u64,
    /// How many events are given still.
    left: u64,
}

/// The events of `topic` that `query` means.
pub(super) async fn read(
    jet: &Arc<Jet>,
    topic: &str,
    query: &HistoryQuery,
    deadline: Deadline,
) -> Result<BoxStream<Result<Event>>> {
    // A consumer that begins there knows how many messages wait for it.
    let start = Start::Time(query.from);
    let line = || Line::alone(jet, topic, start, deadline);
    let (line, messages) = jet.surely("read events", deadline, line).await?;
    let reader = Reader {
        jet: jet.clone(),
        topic: topic.to_owned(),
        line,
        messages,
        skip: query.offset,
        left: match query.limit {
            0 => u64::MAX,
            limit => limit,
        },
    };
    let pieces = stream::try_unfold(reader, |mut reader| async move {
        let events = reader.next().await?;
        Ok::<_, Error>(events.map(|events| (events, reader)))
    });
    let events = pieces.map_ok(|events| stream::iter(events.into_iter().map(Ok::<_, Error>)));
    Ok(events.try_flatten().boxed())
}

impl Reader {
    /// The events of the next message; `None` at the end.
    async fn next(&mut self) -> Result<Option<VecDeque<Event>>> {
        let mut pauses = backoff();
        // From when it is waited for: whoever reads may take his time.
        let deadline = self.jet.connection.timeout();
        while self.messages > 0 && self.left > 0 {
            let failure = match self.pull(deadline).await {
                Ok(Some(entry)) => match self.jet.events(&self.topic, &entry, deadline).await {
                    Ok(events) => {
                        self.messages -= 1;
                        return Ok(Some(self.part(events)));
                    }
                    // It was read already; there is no going back to it.
                    Err(failure) => return Err(self.jet.error(&failure, "read events")),
                },
                Ok(None) => break,
                Err(failure) => failure,
            };
            let pause = pauses.next_wait();
            if !failure.is_passing() || deadline.left() <= pause {
                return Err(self.jet.error(&failure, "read events"));
            }
            tokio::time::sleep(pause).await;
        }
        Ok(None)
    }

    /// The next message; `None` if there is none.
    async fn pull(&mut self, deadline: Deadline) -> Result<Option<Entry>, Failure> {
        self.jet
            .connection
            .ready(deadline)
            .await
            .map_err(|_| Failure::Silent)?;
        let puller = self.line.up(deadline).await?;
        if puller.is_idle() {
            let messages = usize::try_from(self.messages.min(BATCH)).unwrap_or(1);
            let sent = puller.request(messages, None).await;
            sent.map_err(|_| Failure::Silent)?;
        }
        match tokio::time::timeout_at(deadline.at(), self.line.next()).await {
            Ok(Pulled::Entry(entry)) => Ok(Some(entry)),
            Ok(Pulled::Empty) => Ok(None),
            Ok(Pulled::Over | Pulled::Gone) | Err(_) => Err(Failure::Silent),
        }
    }

    /// What of a message's events is asked for.
    fn part(&mut self, events: Vec<Event>) -> VecDeque<Event> {
        let count = events.len() as u64;
        let skip = self.skip.min(count);
        self.skip -= skip;
        let take = (count - skip).min(self.left);
        self.left -= take;
        let (skip, take) = (skip as usize, take as usize);
        events.into_iter().skip(skip).take(take).collect()
    }
}
