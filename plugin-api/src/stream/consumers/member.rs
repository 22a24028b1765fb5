//! One consumer: what it reads of its group, as a stream.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Instant,
};

use futures::stream;

use super::{
    Source,
    group::{Claim, Group},
    groups::State,
    lock,
};
use crate::{
    BoxStream, Error, Result,
    stream::{Acks, ConsumeOptions, Delivery, Event, Token},
};

/// After so many events in a row a member lets the others of its group have a turn.
const TURN: u32 = 4;

pub(super) struct Member<S: Source> {
    number: u64,
    group: Arc<Group<S>>,
    manual: bool,
    in_flight: usize,
    state: Arc<Mutex<State<S>>>,
    /// Reserved for this member, not handed out yet.
    ready: VecDeque<Event>,
    in_a_row: u32,
}

/// The token of a delivery.
fn token(member: u64, position: u64, attempt: u32) -> Token {
    Token(format!("{member:x}-{position:x}-{attempt:x}"))
}

/// The member, position and attempt of a token.
pub(super) fn parse(token: &str) -> Option<(u64, u64, u32)> {
    let mut parts = token.split('-');
    let member = u64::from_str_radix(parts.next()?, 16).ok()?;
    let position = u64::from_str_radix(parts.next()?, 16).ok()?;
    let attempt = u32::from_str_radix(parts.next()?, 16).ok()?;
    parts
        .next()
        .is_none()
        .then_some((member, position, attempt))
}

impl<S: Source> Member<S> {
    pub(super) fn new(
        number: u64,
        group: Arc<Group<S>>,
        options: &ConsumeOptions,
        state: Arc<Mutex<State<S>>>,
    ) -> Self {
        Self {
            number,
            group,
            manual: matches!(options.acks, Acks::Manual { .. }),
            in_flight: options.in_flight as usize,
            state,
            ready: VecDeque::new(),
            in_a_row: 0,
        }
    }

    pub(super) fn stream(self) -> BoxStream<Result<Delivery>> {
        Box::pin(stream::try_unfold(self, |mut member| async move {
            Ok(Some((member.next().await?, member)))
        }))
    }

    async fn next(&mut self) -> Result<Delivery> {
        let group = Arc::clone(&self.group);
        if self.in_a_row >= TURN && group.size() > 1 {
            self.in_a_row = 0;
            tokio::task::yield_now().await;
        }
        loop {
            while let Some(event) = self.ready.pop_front() {
                let Some(attempt) = group.hand_out(self.number, event.position) else {
                    continue;
                };
                self.in_a_row = self.in_a_row.saturating_add(1);
                let token = match self.manual {
                    true => token(self.number, event.position, attempt),
                    false => Token::default(),
                };
                return Ok(Delivery {
                    event,
                    attempt,
                    token,
                });
            }
            // Before looking, so that nothing is missed that happens in between.
            let woken = group.woken().notified();
            tokio::pin!(woken);
            woken.as_mut().enable();
            let now = Instant::now();
            match group.claim(self.number, self.in_flight, now) {
                Claim::Again(positions) => {
                    self.read_again(&positions).await?;
                    continue;
                }
                Claim::New(max) => {
                    if self.read_new(max).await? {
                        continue;
                    }
                }
                Claim::Full => {}
            }
            self.in_a_row = 0;
            // Asked last: somebody may have reserved something while this one read.
            wait(woken, group.first_after(now)).await;
        }
    }

    /// Reads events that were delivered before; those that are kept no more are forgotten.
    async fn read_again(&mut self, positions: &[u64]) -> Result<()> {
        for &position in positions {
            match self.group.source().read_again(position).await? {
                Some(event) => self.ready.push_back(event),
                None => self.group.gone(position),
            }
        }
        Ok(())
    }

    /// Reads events that nobody had yet; whether there were any.
    async fn read_new(&mut self, max: usize) -> Result<bool> {
        let (group, number) = (Arc::clone(&self.group), self.number);
        // In a task, which goes on when nobody polls this member for a while: the others wait for
        // its turn to end.
        let reading = tokio::spawn(async move {
            let _turn = group.reading.lock().await;
            let from = group.next();
            let batch = group.source().read(from, max).await?;
            let some = batch.next > from;
            if some {
                group.reserve(number, &batch);
            }
            Ok(some.then_some(batch.events))
        });
        let read: Result<Option<Vec<Event>>> = reading
            .await
            .map_err(|error| Error::internal(error.to_string()))?;
        let events = read?;
        let some = events.is_some();
        self.ready.extend(events.into_iter().flatten());
        Ok(some)
    }
}

impl<S: Source> Drop for Member<S> {
    fn drop(&mut self) {
        lock(&self.state).leave(self.number, &self.group);
    }
}

/// Until somebody wakes the group, or the moment has come.
async fn wait(woken: impl Future<Output = ()>, moment: Option<Instant>) {
    match moment {
        None => woken.await,
        Some(moment) => {
            tokio::select! {
                () = woken => {}
                () = tokio::time::sleep_until(moment.into()) => {}
            }
        }
    }
}
