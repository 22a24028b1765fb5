//! The events of a message, with all that may stand elsewhere: pieces of it, and whether it holds.

use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use bytes::{Bytes, BytesMut};
use micro_plugin_api::stream::Event;

use super::{
    api::{Failure, code},
    entry::Entry,
    envelope,
    jet::Jet,
};
use crate::connection::Deadline;

/// Names the places of the pieces that come before the body, separated by commas.
pub(super) const PIECES: &str = "Micro-Pieces";
/// Names the batch for many topics that the message is a part of.
pub(super) const BATCH: &str = "Micro-Batch";
/// What JetStream knows a message by that is published again.
pub(super) const ID: &str = "Nats-Msg-Id";

const HOLDS: &[u8] = b"holds";
const VOID: &[u8] = b"void";

/// For how long readers wait for the publisher of a batch for many topics, until they declare it
/// void: it stored a part of it and was gone.
const UNDECIDED: Duration = Duration::from_secs(5);
/// How often they look meanwhile.
const LOOK: Duration = Duration::from_millis(20);

impl Jet {
    /// The events of a message; none if it holds none that were published.
    pub(super) async fn events(
        &self,
        topic: &str,
        entry: &Entry,
        deadline: Deadline,
    ) -> Result<Vec<Event>, Failure> {
        let header = |name: &str| entry.headers.as_ref()?.get(name).map(|it| it.as_str());
        if let Some(batch) = header(BATCH)
            && !self.outcome(batch, deadline).await?
        {
            return Ok(Vec::new());
        }
        let body = match header(PIECES) {
            None => Some(entry.body.clone()),
            Some(places) => self.whole(places, &entry.body, deadline).await?,
        };
        let Some(body) = body else {
            // The oldest are dropped first, and these were older than the rest.
            return Ok(Vec::new());
        };
        let events = envelope::decode(&body, topic, entry.sequence, entry.ingested);
        Ok(events.unwrap_or_else(|| {
            tracing::warn!(
                topic,
                stream = self.layout.events,
                message = entry.sequence,
                "a message is damaged, or none that this plugin published; it is left out"
            );
            Vec::new()
        }))
    }

    /// Puts the pieces of a body together; `None` if one is kept no more.
    async fn whole(
        &self,
        places: &str,
        last: &Bytes,
        deadline: Deadline,
    ) -> Result<Option<Bytes>, Failure> {
        let mut body = BytesMut::new();
        for place in places.split(',') {
            let Ok(place) = place.parse() else {
                return Ok(None);
            };
            match self.at(place, deadline).await? {
                Some(piece) => body.extend_from_slice(&piece.body),
                None => return Ok(None),
            }
        }
        body.extend_from_slice(last);
        Ok(Some(body.freeze()))
    }

    /// Whether a batch for many topics was published. If nobody says so in time, it was not, and
    /// its publisher will be told.
    async fn outcome(&self, batch: &str, deadline: Deadline) -> Result<bool, Failure> {
        let subject = self.layout.outcome(batch);
        let begun = Instant::now();
        loop {
            let outcome = self.last(&self.layout.events, &subject, deadline).await?;
            if let Some(outcome) = outcome {
                return Ok(outcome.body == HOLDS);
            }
            if begun.elapsed() > UNDECIDED {
                return self.decide(batch, false, deadline).await;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Says whether a batch holds, unless that was said already. What was said.
    pub(super) async fn decide(
        &self,
        batch: &str,
        holds: bool,
        deadline: Deadline,
    ) -> Result<bool, Failure> {
        let subject = self.layout.outcome(batch);
        let mut headers = HeaderMap::new();
        // Whoever comes first has said it.
        headers.insert("Nats-Expected-Last-Subject-Sequence", "0");
        let says = Bytes::from_static(if holds { HOLDS } else { VOID });
        match self.store(&subject, headers, says, deadline).await {
            Ok(_) => Ok(holds),
            Err(failure) if failure.is(code::WRONG_LAST_SEQUENCE) => {
                let said = self.last(&self.layout.events, &subject, deadline).await?;
                Ok(said.is_some_and(|said| said.body == HOLDS))
            }
            Err(failure) => Err(failure),
        }
    }
}
