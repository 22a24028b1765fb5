//! The rules of the `stream` module.

mod acks;
mod beyond;
mod concurrency;
mod consume;
mod groups;
mod history;
mod publish;
mod topics;

use std::{
    pin::Pin,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::StreamExt as _;
use micro_plugin_api::{
    BoxStream, Call, Result, StreamHandle,
    stream::{Acks, ConsumeOptions, Delivery, Event, HistoryQuery, NewEvent, Start, Token},
};

use crate::{
    Suite,
    check::{Stop, Verdict, all, ensure, unique},
};

/// Every rule of the `stream` module.
pub fn suite() -> Suite<StreamHandle> {
    let groups = [
        publish::cases(),
        topics::cases(),
        consume::cases(),
        groups::cases(),
        acks::cases(),
        history::cases(),
        concurrency::cases(),
        beyond::cases(),
    ];
    Suite::new("stream", groups.into_iter().flatten().collect())
}

/// How long something may take that should happen at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// For how long nothing must come, where nothing may.
const QUIET: Duration = Duration::from_millis(300);

/// A stream with a topic of its own: what a case works in.
#[derive(Clone)]
struct Scope {
    stream: StreamHandle,
    topic: String,
}

impl Scope {
    fn new(stream: StreamHandle) -> Self {
        Self::of(stream, unique("topic"))
    }

    fn of(stream: StreamHandle, topic: String) -> Self {
        Self { stream, topic }
    }

    /// A call that is made now: a case may take longer than each of its calls.
    fn call(&self) -> Call {
        Call::new(&self.topic).with_timeout(Duration::from_secs(30))
    }

    /// The same with another topic.
    fn other(&self, topic: &str) -> Self {
        Self {
            topic: format!("{}/{topic}", self.topic),
            ..self.clone()
        }
    }

    fn event(&self, payload: impl Into<Bytes>) -> NewEvent {
        NewEvent::new(&self.topic, payload)
    }

    /// Publishes one event; its id.
    async fn publish(&self, payload: &str) -> Verdict<String> {
        let ids = self.publish_all(&[payload]).await?;
        ids.into_iter().next().ok_or_else(|| failed("no id"))
    }

    /// Publishes events as one batch; their ids.
    async fn publish_all(&self, payloads: &[&str]) -> Verdict<Vec<String>> {
        let payloads = payloads.iter().map(|payload| payload.to_string());
        let events: Vec<_> = payloads.map(|payload| self.event(payload)).collect();
        let ids = self.stream.publish(&self.call(), &events).await?;
        ensure!(
            ids.len() == events.len(),
            "{} ids for {} events",
            ids.len(),
            events.len()
        );
        Ok(ids)
    }

    async fn consume(&self, options: &ConsumeOptions) -> Verdict<Consumer> {
        let call = self.call();
        let consume = self.stream.consume(&call, &self.topic, options);
        let deliveries = tokio::time::timeout(PATIENCE, consume).await;
        let deliveries = deliveries.map_err(|_| failed("consume did not answer"))??;
        Ok(Consumer(deliveries))
    }

    async fn history(&self, query: HistoryQuery) -> Result<Vec<Event>> {
        let call = self.call();
        let events = self.stream.history(&call, &self.topic, &query);
        all(events.await?).await
    }

    /// The payloads of the whole history.
    async fn payloads(&self) -> Result<Vec<String>> {
        let events = self.history(HistoryQuery::default()).await?;
        Ok(events.iter().map(text).collect())
    }

    async fn ack(&self, delivery: &Delivery) -> Result<()> {
        self.stream.ack(&self.call(), &delivery.token).await
    }

    async fn nack(&self, token: &Token) -> Result<()> {
        self.stream.nack(&self.call(), token).await
    }
}

/// Who consumes.
struct Consumer(BoxStream<Result<Delivery>>);

impl Consumer {
    /// The next delivery, which must come.
    async fn next(&mut self) -> Verdict<Delivery> {
        match tokio::time::timeout(PATIENCE, self.0.next()).await {
            Ok(Some(delivery)) => Ok(delivery?),
            Ok(None) => Err(failed("the deliveries ended")),
            Err(_) => Err(failed(&format!(
                "nothing was delivered within {PATIENCE:?}"
            ))),
        }
    }

    /// The payload of the next delivery.
    async fn text(&mut self) -> Verdict<String> {
        Ok(text(&self.next().await?.event))
    }

    /// The payloads of the next `count` deliveries.
    async fn texts(&mut self, count: usize) -> Verdict<Vec<String>> {
        let mut texts = Vec::with_capacity(count);
        while texts.len() < count {
            texts.push(self.text().await?);
        }
        Ok(texts)
    }

    /// A delivery within `time`, if one comes.
    async fn within(&mut self, time: Duration) -> Verdict<Option<Delivery>> {
        match tokio::time::timeout(time, self.0.next()).await {
            Ok(Some(delivery)) => Ok(Some(delivery?)),
            Ok(None) => Err(failed("the deliveries ended")),
            Err(_) => Ok(None),
        }
    }

    /// Nothing may come for a while.
    async fn quiet(&mut self, why: &str) -> Verdict {
        match self.within(QUIET).await? {
            None => Ok(()),
            Some(delivery) => Err(failed(&format!(
                "{why}: attempt {} of {:?} came all the same",
                delivery.attempt,
                text(&delivery.event)
            ))),
        }
    }
}

fn failed(reason: &str) -> Stop {
    Stop(reason.to_owned())
}

fn text(event: &Event) -> String {
    String::from_utf8_lossy(&event.payload).into_owned()
}

/// Everything that is kept, for oneself.
fn from_the_start() -> ConsumeOptions {
    ConsumeOptions {
        start: Start::Time(0),
        ..ConsumeOptions::default()
    }
}

/// A member of `group` that begins with everything that is kept.
fn member(group: &str) -> ConsumeOptions {
    ConsumeOptions {
        group: Some(group.to_owned()),
        ..from_the_start()
    }
}

/// The same, which acknowledges within `wait`.
fn acking(options: ConsumeOptions, wait: Duration) -> ConsumeOptions {
    ConsumeOptions {
        acks: Acks::Manual { wait },
        ..options
    }
}

/// An ack wait that does not pass while a case runs.
const LONG: Duration = Duration::from_secs(300);

/// An ack wait that does.
const SHORT: Duration = Duration::from_millis(150);

/// The next delivery of whichever consumer has one first, and which that was.
async fn either(one: &mut Consumer, other: &mut Consumer) -> Verdict<(usize, Delivery)> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let (a, b) = (Pin::new(&mut one.0), Pin::new(&mut other.0));
        let (mut a, mut b) = (a.fuse(), b.fuse());
        let next = async {
            futures::select_biased! {
                delivery = a.select_next_some() => (0, delivery),
                delivery = b.select_next_some() => (1, delivery),
            }
        };
        if let Ok((which, delivery)) = tokio::time::timeout(PATIENCE, next).await {
            return Ok((which, delivery?));
        }
    }
    Err(failed(&format!(
        "nothing was delivered within {PATIENCE:?}"
    )))
}
