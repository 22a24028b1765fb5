//! The deliveries that consumers have not settled, so that one that comes again from another instance
//! is known, and a settlement finds the instance that it is for.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use micro_plugin_api::{
    Error, Result,
    stream::{Settlement, Token},
};

/// A delivery.
pub(super) struct Handed {
    /// The instance that it came from.
    pub(super) generation: u64,
    /// Who shares the event.
    pub(super) audience: u64,
    /// Its id.
    pub(super) event: String,
    /// What that instance wants to settle it with.
    pub(super) token: String,
}

impl Handed {
    /// What the consumer settles it with: `GENERATION/AUDIENCE/EVENT/TOKEN`. Ids of events are
    /// UUIDs.
    pub(super) fn to_token(&self) -> Token {
        let Self {
            generation,
            audience,
            event,
            token,
        } = self;
        Token(format!("{generation}/{audience}/{event}/{token}"))
    }

    fn from_token(token: &Token) -> Result<Self> {
        let mut parts = token.0.splitn(4, '/');
        let mut parsed = || {
            Some(Self {
                generation: parts.next()?.parse().ok()?,
                audience: parts.next()?.parse().ok()?,
                event: parts.next()?.to_owned(),
                token: parts.next()?.to_owned(),
            })
        };
        parsed().ok_or_else(|| Error::invalid("a token that was never given out"))
    }
}

/// What a delivery is to a consumer.
pub(super) enum Again {
    /// Nothing that it is at.
    No,
    /// The consumer has it from an instance before, and is at it.
    Waits,
    /// The consumer had it from an instance before, and has settled it meanwhile: so.
    Settled(bool),
}

#[derive(Default)]
struct Entry {
    /// The last instance that it came from.
    generation: u64,
    /// What that one wants to settle it with, if it is another than the consumer was told.
    token: Option<String>,
    /// How it was settled, while the instance that must be told has not delivered it yet.
    settled: Option<bool>,
}

/// The deliveries that are not settled, by audience and event.
#[derive(Default)]
pub(crate) struct Pending {
    entries: Mutex<HashMap<(u64, String), Entry>>,
    audiences: AtomicU64,
    /// By how many milliseconds the backend's clock is ahead of this machine's.
    ahead: AtomicI64,
}

impl Pending {
    /// The audience of a consumer without a group.
    pub(super) fn audience_of_one(&self) -> u64 {
        self.audiences.fetch_add(1, Ordering::Relaxed)
    }

    /// Notes by how many milliseconds the backend's clock is ahead of this machine's.
    pub(crate) fn set_ahead(&self, ahead: i64) {
        self.ahead.store(ahead, Ordering::Relaxed);
    }

    /// A moment of this machine's clock, by the backend's.
    pub(super) fn by_its_clock(&self, moment: u64) -> u64 {
        moment.saturating_add_signed(self.ahead.load(Ordering::Relaxed))
    }

    /// Notes a delivery that is about to be handed out.
    pub(super) fn hand(&self, handed: &Handed) -> Again {
        let mut entries = self.lock();
        let key = (handed.audience, handed.event.clone());
        match entries.get_mut(&key) {
            Some(entry) if entry.generation != handed.generation => {
                if let Some(acknowledged) = entry.settled {
                    entries.remove(&key);
                    return Again::Settled(acknowledged);
                }
                entry.generation = handed.generation;
                entry.token = Some(handed.token.clone());
                Again::Waits
            }
            _ => {
                let entry = Entry {
                    generation: handed.generation,
                    ..Entry::default()
                };
                entries.insert(key, entry);
                Again::No
            }
        }
    }

    /// Whether a delivery of that event is not settled.
    pub(super) fn holds(&self, audience: u64, event: &str) -> bool {
        let entries = self.lock();
        let entry = entries.get(&(audience, event.to_owned()));
        entry.is_some_and(|entry| entry.settled.is_none())
    }

    /// Forgets a delivery.
    pub(super) fn forget(&self, audience: u64, event: &str) {
        self.lock().remove(&(audience, event.to_owned()));
    }

    /// What the instance `generation` is to be told of these settlements. One of a delivery from an
    /// instance before waits until that event is delivered again.
    ///
    /// # Errors
    /// `invalid` for a token that was never given out.
    pub(super) fn settle(
        &self,
        generation: u64,
        settlements: &[Settlement],
    ) -> Result<Vec<Settlement>> {
        let mut told = Vec::with_capacity(settlements.len());
        let mut entries = self.lock();
        for Settlement {
            token,
            acknowledged,
        } in settlements
        {
            let handed = Handed::from_token(token)?;
            let acknowledged = *acknowledged;
            let key = (handed.audience, handed.event);
            let token = if handed.generation == generation {
                entries.remove(&key);
                handed.token
            } else {
                let Some(entry) = entries.get_mut(&key) else {
                    continue;
                };
                match entry.token.take() {
                    Some(token) if entry.generation == generation => {
                        entries.remove(&key);
                        token
                    }
                    _ => {
                        entry.settled = Some(acknowledged);
                        continue;
                    }
                }
            };
            told.push(Settlement {
                token: Token(token),
                acknowledged,
            });
        }
        Ok(told)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(u64, String), Entry>> {
        // Nothing that is done under the lock can panic half way.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handed(generation: u64, token: &str) -> Handed {
        Handed {
            generation,
            audience: 1,
            event: "e".to_owned(),
            token: token.to_owned(),
        }
    }

    fn told(pending: &Pending, generation: u64, handed: &Handed) -> Vec<String> {
        let settlement = Settlement::ack(handed.to_token());
        let told = pending.settle(generation, &[settlement]).unwrap();
        told.into_iter()
            .map(|settlement| settlement.token.0)
            .collect()
    }

    #[test]
    fn a_settlement_goes_to_the_instance_that_is_live() {
        let pending = Pending::default();
        let first = handed(1, "a/b");
        assert!(matches!(pending.hand(&first), Again::No));
        assert_eq!(told(&pending, 1, &first), ["a/b"]);
        assert!(!pending.holds(1, "e"));
    }

    #[test]
    fn what_comes_again_from_the_next_instance_is_settled_there() {
        let pending = Pending::default();
        let (first, second) = (handed(1, "a"), handed(2, "b"));
        pending.hand(&first);
        assert!(matches!(pending.hand(&second), Again::Waits));
        assert_eq!(told(&pending, 2, &first), ["b"]);
        // One that comes again because nobody settled it in time is handed out.
        pending.hand(&first);
        assert!(matches!(pending.hand(&second), Again::Waits));
        assert!(matches!(pending.hand(&second), Again::No));
    }

    #[test]
    fn a_settlement_waits_for_the_event_to_come_again() {
        let pending = Pending::default();
        let (first, second) = (handed(1, "a"), handed(2, "b"));
        pending.hand(&first);
        assert_eq!(told(&pending, 2, &first), [""; 0]);
        assert!(!pending.holds(1, "e"));
        assert!(matches!(pending.hand(&second), Again::Settled(true)));
        assert!(matches!(pending.hand(&handed(2, "c")), Again::No));
    }
}
