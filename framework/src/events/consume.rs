//! Consuming a topic: from now or a moment of the past, alone or in a group, and across lost
//! connections.

use std::{
    collections::{HashSet, VecDeque},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures::channel::mpsc;
use http::uri::PathAndQuery;
use micro_proto::events::{self as proto, AckRequest, ConsumeRequest};
use tonic::{Request, Streaming, client::Grpc};
use uuid::Uuid;

use super::{
    Event, Events,
    codec::{Said, SaidCodec},
};
use crate::{Error, client::chance, config::is_for_good};

/// How long a consumer waits before it connects again; up to half of it less, so that not all come at once.
const PAUSE: Duration = Duration::from_secs(1);

/// How many events are remembered, so that none is given twice after a lost connection.
const REMEMBERED: usize = 8_192;

/// How to consume a topic.
#[derive(Clone, Debug, Default)]
pub struct ConsumeOptions {
    group: String,
    offset: Option<SystemTime>,
    ack_wait: Option<Duration>,
    retry_limit: Option<u32>,
}

impl ConsumeOptions {
    /// Every event from now on, each counted as dealt with once it is given.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Shares the topic's events with the others of this group: each goes to one of them. The
    /// platform remembers where a group is.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = group.into();
        self
    }

    /// Begins with what was published at or after this moment. A group that exists goes on where
    /// it is.
    #[must_use]
    pub fn offset(mut self, offset: SystemTime) -> Self {
        self.offset = Some(offset);
        self
    }

    /// Wants a [`Consumer::ack`] for each event within this time, and gives the event again
    /// otherwise.
    #[must_use]
    pub fn manual_ack(mut self, wait: Duration) -> Self {
        self.ack_wait = Some(wait);
        self
    }

    /// How often an event that was not acknowledged is given again; without, as often as it takes.
    #[must_use]
    pub fn retry_limit(mut self, limit: u32) -> Self {
        self.retry_limit = Some(limit);
        self
    }

    fn request(&self, topic: &str, from: Option<u64>) -> ConsumeRequest {
        let wait = self.ack_wait.unwrap_or_default().as_nanos();
        ConsumeRequest {
            topic: topic.to_owned(),
            group: self.group.clone(),
            auto_ack: self.ack_wait.is_none(),
            ack_wait: wait.try_into().unwrap_or(i64::MAX),
            retry_limit: self.retry_limit.map_or(-1, i64::from),
            offset_ms: from.map_or(0, |ms| ms.max(1).try_into().unwrap_or(i64::MAX)),
            ..ConsumeRequest::default()
        }
    }
}

impl Events {
    /// Consumes a topic. When this returns, nothing that is published from then on is missed.
    ///
    /// # Errors
    /// What the platform answered.
    pub async fn consume(
        &self,
        topic: impl Into<String>,
        options: ConsumeOptions,
    ) -> Result<Consumer, Error> {
        let topic = topic.into();
        let from = options.offset.map(unix_millis);
        let connection = self.connect(options.request(&topic, from)).await?;
        Ok(Consumer {
            events: self.clone(),
            topic,
            options,
            connection: Some(connection),
            from: from.unwrap_or_else(|| unix_millis(SystemTime::now())),
            seen: Seen::default(),
            open: VecDeque::new(),
            ended: false,
        })
    }

    async fn connect(&self, request: ConsumeRequest) -> Result<Connection, Error> {
        let (says, said) = mpsc::unbounded();
        // The receiver is here.
        let _ = says.unbounded_send(Said::Consume(request));
        let path = PathAndQuery::from_static("/events.Stream/Consume");
        let mut grpc =
            Grpc::new(self.channel.clone()).max_decoding_message_size(crate::MAX_MESSAGE);
        let answer = grpc.streaming(Request::new(said), path, SaidCodec).await?;
        Ok(Connection {
            says,
            answers: answer.into_inner(),
        })
    }
}

#[derive(Debug)]
struct Connection {
    says: mpsc::UnboundedSender<Said>,
    answers: Streaming<proto::Event>,
}

/// One who consumes. A connection that is lost is made again, and goes on where it was: a group
/// where the platform knows it to be, a consumer without one after the last event that it was
/// given. Dropping it leaves.
#[derive(Debug)]
pub struct Consumer {
    events: Events,
    topic: String,
    options: ConsumeOptions,
    /// `None` when it was lost.
    connection: Option<Connection>,
    /// Where it began: milliseconds since the Unix epoch.
    from: u64,
    seen: Seen,
    /// The events that were given and not acknowledged yet, the oldest first.
    open: VecDeque<String>,
    ended: bool,
}

impl Consumer {
    /// The next event. `None` after an error that trying again would not mend, which was given
    /// before.
    ///
    /// It may be dropped and called again: no event is lost by that.
    pub async fn next(&mut self) -> Option<Result<Event, Error>> {
        if self.ended {
            return None;
        }
        loop {
            let Some(connection) = &mut self.connection else {
                tokio::time::sleep(PAUSE.mul_f64(0.5 + chance() / 2.0)).await;
                let request = self.options.request(&self.topic, self.resume());
                match self.events.connect(request).await {
                    Ok(connection) => self.connection = Some(connection),
                    Err(error) if is_for_good(&error) => return self.end(error),
                    Err(_) => {}
                }
                continue;
            };
            match connection.answers.message().await.map_err(Error::from) {
                Ok(Some(event)) => {
                    if self.accept(&event) {
                        return Some(Ok(event.into()));
                    }
                }
                Ok(None) => self.connection = None,
                Err(error) if is_for_good(&error) => return self.end(error),
                Err(_) => self.connection = None,
            }
        }
    }

    /// Says that an event was dealt with: it is not given again. For a consumer with
    /// [`ConsumeOptions::manual_ack`]; lost with the connection, it has no effect.
    pub fn ack(&mut self, event: &Event) {
        self.settle(event, true);
    }

    /// Says that an event was not dealt with: it is given again soon.
    pub fn nack(&mut self, event: &Event) {
        self.settle(event, false);
    }

    fn settle(&mut self, event: &Event, success: bool) {
        if success {
            if let Some(at) = self.open.iter().position(|id| *id == event.id) {
                self.open.remove(at);
            }
            self.seen.add(&event.id);
        }
        let Some(connection) = &self.connection else {
            return;
        };
        let id = event.id.clone();
        // One that cannot be said any more is said by the event's coming again.
        let _ = connection
            .says
            .unbounded_send(Said::Settle(AckRequest { id, success }));
    }

    /// Whether an event is to be given: one that was dealt with is not, when it comes again after
    /// a lost connection.
    fn accept(&mut self, event: &proto::Event) -> bool {
        if self.seen.has(&event.id) {
            if self.options.ack_wait.is_some() {
                let (id, success) = (event.id.clone(), true);
                if let Some(connection) = &self.connection {
                    let ack = Said::Settle(AckRequest { id, success });
                    let _ = connection.says.unbounded_send(ack);
                }
            }
            return false;
        }
        if self.options.ack_wait.is_none() {
            // A group's place is the platform's to know, and without one nothing comes twice.
            self.seen.add(&event.id);
        } else if !self.open.contains(&event.id) {
            if self.open.len() == REMEMBERED {
                self.open.pop_front();
            }
            self.open.push_back(event.id.clone());
        }
        true
    }

    /// Where to begin after a lost connection: with the oldest event that was not acknowledged,
    /// else with the last one that was seen, else where it began.
    fn resume(&self) -> Option<u64> {
        let id = self.open.front().or(self.seen.last());
        Some(id.and_then(|id| taken_in(id)).unwrap_or(self.from))
    }

    fn end(&mut self, error: Error) -> Option<Result<Event, Error>> {
        self.ended = true;
        self.connection = None;
        Some(Err(error))
    }
}

/// The ids of events that were dealt with lately.
#[derive(Debug, Default)]
struct Seen {
    order: VecDeque<String>,
    ids: HashSet<String>,
}

impl Seen {
    fn add(&mut self, id: &str) {
        if !self.ids.insert(id.to_owned()) {
            return;
        }
        self.order.push_back(id.to_owned());
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }

    fn has(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    fn last(&self) -> Option<&String> {
        self.order.back()
    }
}

/// When the platform took in the event of this id, which is a UUIDv7: milliseconds since the Unix
/// epoch.
fn taken_in(id: &str) -> Option<u64> {
    let (seconds, nanos) = Uuid::parse_str(id).ok()?.get_timestamp()?.to_unix();
    Some(seconds * 1_000 + u64::from(nanos) / 1_000_000)
}

fn unix_millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis().try_into().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moment_of_an_id() {
        let before = unix_millis(SystemTime::now());
        let taken = taken_in(&Uuid::now_v7().to_string()).unwrap();
        assert!((before..=before + 60_000).contains(&taken));
        assert_eq!(taken_in("x"), None);
    }

    #[test]
    fn requests_say_what_go_clients_say() {
        let request = ConsumeOptions::new().request("t", None);
        assert!(request.auto_ack);
        assert_eq!((request.retry_limit, request.offset_ms), (-1, 0));
        let manual = ConsumeOptions::new()
            .group("g")
            .manual_ack(Duration::from_secs(1))
            .retry_limit(2);
        let request = manual.request("t", Some(5));
        assert!(!request.auto_ack);
        assert_eq!((request.ack_wait, request.retry_limit), (1_000_000_000, 2));
        assert_eq!((request.group.as_str(), request.offset_ms), ("g", 5));
    }

    #[test]
    fn few_are_remembered() {
        let mut seen = Seen::default();
        for i in 0..=REMEMBERED {
            seen.add(&i.to_string());
        }
        assert_eq!(seen.ids.len(), REMEMBERED);
        assert!(!seen.has("0") && seen.has("1"));
    }
}
