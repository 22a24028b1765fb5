//! Events through what is live.

use std::{
    collections::{VecDeque, hash_map::DefaultHasher},
    hash::{Hash as _, Hasher as _},
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll},
};

use futures::Stream as Items;
use micro_plugin_api::{
    BoxFuture, BoxStream, Call, Result, Stream, StreamHandle,
    stream::{
        Acks, ConsumeOptions, Delivery, Event, HistoryQuery, NewEvent, Settlement, Start, Token,
    },
};

pub(crate) use super::pending::Pending;
use super::pending::{Again, Handed};
use crate::{live::Live, moving::Resume, slot::Slot, unix_millis};

/// How many deliveries of one consumer are remembered: more than can be in flight, since nobody
/// tells which of them were given up.
const REMEMBERED: usize = 4_096;

/// The stream that is live.
pub(crate) struct SwappableStream {
    pub(crate) slot: Arc<Slot<StreamHandle>>,
    pub(crate) pending: Arc<Pending>,
}

impl Stream for SwappableStream {
    async fn publish(&self, call: &Call, events: &[NewEvent]) -> Result<Vec<String>> {
        let _pass = self.slot.gate.write(call).await?;
        self.slot.live()?.handle.publish(call, events).await
    }

    async fn consume(
        &self,
        call: &Call,
        topic: &str,
        options: &ConsumeOptions,
    ) -> Result<BoxStream<Result<Delivery>>> {
        let _pass = self.slot.gate.write(call).await?;
        let live = self.slot.live()?;
        let opened = unix_millis();
        let source = live.handle.consume(call, topic, options).await?;
        let audience = match &options.group {
            Some(group) => {
                let mut hasher = DefaultHasher::new();
                (topic, group).hash(&mut hasher);
                hasher.finish()
            }
            None => self.pending.audience_of_one(),
        };
        let resume = Consumer {
            topic: topic.to_owned(),
            options: options.clone(),
            audience,
            opened,
            generation: live.generation,
            live: Arc::downgrade(&live),
            pending: self.pending.clone(),
            last: None,
            handed: VecDeque::new(),
        };
        Ok(self.slot.moving(live, source, resume))
    }

    async fn settle(&self, call: &Call, settlements: &[Settlement]) -> Result<()> {
        let _pass = self.slot.gate.write(call).await?;
        let live = self.slot.live()?;
        let settlements = self.pending.settle(live.generation, settlements)?;
        if settlements.is_empty() {
            return Ok(());
        }
        live.handle.settle(call, &settlements).await
    }

    async fn history(
        &self,
        call: &Call,
        topic: &str,
        query: &HistoryQuery,
    ) -> Result<BoxStream<Result<Event>>> {
        let _pass = self.slot.gate.read(call).await?;
        let live = self.slot.live()?;
        let events = live.handle.history(call, topic, query).await?;
        Ok(Box::pin(Held {
            _live: live,
            events,
        }))
    }

    async fn health(&self, call: &Call) -> Result<()> {
        let _pass = self.slot.gate.read(call).await?;
        self.slot.live()?.handle.health(call).await
    }
}

/// Events that are read to their end from the instance that they began with.
struct Held {
    events: BoxStream<Result<Event>>,
    _live: Arc<Live<StreamHandle>>,
}

impl Items for Held {
    type Item = Result<Event>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.as_mut().poll_next(context)
    }
}

/// A consumer. A group knows where it is, and delivers again what a member that leaves had not
/// settled; one without a group begins again with what it had not settled. Either way what comes
/// again is kept from the reader, who is at it.
struct Consumer {
    topic: String,
    options: ConsumeOptions,
    /// Who shares the events: the members of a group, or this consumer alone.
    audience: u64,
    /// When it began, by the clock of this machine: milliseconds since the Unix epoch.
    opened: u64,
    generation: u64,
    /// Weak, so that who has no stream keeps no instance.
    live: Weak<Live<StreamHandle>>,
    pending: Arc<Pending>,
    /// Position and time of the last event that the reader got.
    last: Option<(u64, u64)>,
    /// The events that the reader got and may not have settled, with their times, the oldest first.
    handed: VecDeque<(String, u64)>,
}

impl Consumer {
    fn is_manual(&self) -> bool {
        matches!(self.options.acks, Acks::Manual { .. })
    }

    /// Where one without a group begins again.
    fn start(&self) -> Start {
        let unsettled = self
            .handed
            .iter()
            .find(|(event, _)| self.pending.holds(self.audience, event))
            .map(|(_, ingested)| *ingested);
        match (unsettled, self.last, self.options.start) {
            (Some(ingested), ..) | (None, Some((_, ingested)), _) => Start::Time(ingested),
            (None, None, Start::Time(from)) => Start::Time(from),
            (None, None, Start::Now) => Start::Time(self.pending.by_its_clock(self.opened)),
        }
    }

    fn settle_now(&self, token: Token, acknowledged: bool) {
        let Some(live) = self.live.upgrade() else {
            return;
        };
        tokio::spawn(async move {
            let settlement = Settlement {
                token,
                acknowledged,
            };
            let call = super::resuming();
            let settled = live.handle.settle(&call, &[settlement]).await;
            if let Err(error) = settled {
                tracing::warn!("an event will be delivered again: {error}");
            }
        });
    }

    fn remember(&mut self, event: &Event) {
        if self.handed.len() == REMEMBERED
            && let Some((oldest, _)) = self.handed.pop_front()
        {
            self.pending.forget(self.audience, &oldest);
        }
        self.handed.push_back((event.id.clone(), event.ingested));
    }
}

impl Resume<StreamHandle> for Consumer {
    type Item = Delivery;
    const COLLECTS: bool = false;

    fn open(
        &self,
        live: &Live<StreamHandle>,
    ) -> BoxFuture<'static, Result<BoxStream<Result<Delivery>>>> {
        let (handle, topic) = (live.handle.clone(), self.topic.clone());
        let mut options = self.options.clone();
        if options.group.is_none() {
            options.start = self.start();
        }
        Box::pin(async move { handle.consume(&super::resuming(), &topic, &options).await })
    }

    fn pass(&mut self, mut delivery: Delivery, ready: &mut VecDeque<Delivery>) {
        let event = &delivery.event;
        let had = self.last.is_some_and(|(last, _)| event.position <= last);
        let alone = self.options.group.is_none();
        if !self.is_manual() {
            if alone && had {
                return;
            }
        } else {
            let handed = Handed {
                generation: self.generation,
                audience: self.audience,
                event: event.id.clone(),
                token: delivery.token.0.clone(),
            };
            match self.pending.hand(&handed) {
                Again::Waits => return,
                Again::Settled(acknowledged) => {
                    self.settle_now(delivery.token, acknowledged);
                    return;
                }
                // It was settled before the move, if this is the first time that it comes since.
                Again::No if alone && had && delivery.attempt == 1 => {
                    self.pending.forget(self.audience, &event.id);
                    self.settle_now(delivery.token, true);
                    return;
                }
                Again::No => {}
            }
            self.remember(event);
            delivery.token = handed.to_token();
        }
        let event = &delivery.event;
        if !had {
            self.last = Some((event.position, event.ingested));
        }
        ready.push_back(delivery);
    }

    fn moved(&mut self, live: &Arc<Live<StreamHandle>>, _same: bool) {
        self.generation = live.generation;
        self.live = Arc::downgrade(live);
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        // What the reader had not settled goes to others, and is theirs then.
        for (event, _) in &self.handed {
            self.pending.forget(self.audience, event);
        }
    }
}
