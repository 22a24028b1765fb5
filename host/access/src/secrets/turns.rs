//! Whose secret is hashed next: one at a time, in turns, so that who floods one account with
//! wrong secrets holds up that account and nobody else.

use std::{
    collections::{HashMap, VecDeque},
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use moka::sync::Cache;
use tokio::sync::oneshot;

use super::SecretError;

/// How many of one [`Claim`] may wait: at some 20 ms each, the last is done before clients give
/// up.
pub(super) const MAX_OF_ONE: usize = 64;
/// How many may wait in all. Past that, a newcomer takes the place of the last of the longest
/// queue.
pub(super) const MAX_WAITING: usize = 512;
/// After how many wrong secrets in a row a claim goes behind those without.
const PATIENCE: u32 = 3;
/// How long wrong secrets are remembered after the last of them.
const MEMORY: Duration = Duration::from_secs(60);
/// How many claims with wrong secrets are remembered.
const REMEMBERED: u64 = 4096;
/// Every so many turns, one of those with wrong secrets goes first: they wait longer, not for ever.
const MERCY: u32 = 4;

/// Who wants a turn: attempts at one account from one address stand in one queue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Claim {
    source: Option<IpAddr>,
    namespace: String,
    id: String,
}

impl Claim {
    /// Somebody at `source`, as far as that is known, and this account.
    pub(crate) fn new(source: Option<IpAddr>, namespace: &str, id: &str) -> Self {
        Self {
            source: source.map(network),
            namespace: namespace.to_owned(),
            id: id.to_owned(),
        }
    }
}

/// The part of an address that its holder cannot choose: of IPv6, the first half.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

/// One turn after another. Clones share them.
#[derive(Clone)]
pub(super) struct Turns(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Wrong secrets in a row.
    wrong: Cache<Claim, u32>,
}

#[derive(Default)]
struct State {
    /// Whether somebody has their turn.
    taken: bool,
    queues: HashMap<Claim, VecDeque<oneshot::Sender<Turn>>>,
    /// The claims with a queue, in the order of their turns.
    good: VecDeque<Claim>,
    /// The same of those with wrong secrets.
    bad: VecDeque<Claim>,
    waiting: usize,
    passed: u32,
}

/// The right to hash, until it is dropped.
pub(super) struct Turn(Option<Arc<Shared>>);

impl Turns {
    pub(super) fn new() -> Self {
        Self(Arc::new(Shared {
            state: Mutex::default(),
            wrong: Cache::builder()
                .max_capacity(REMEMBERED)
                .time_to_live(MEMORY)
                .build(),
        }))
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// [`SecretError::Busy`] when too many wait already.
    pub(super) async fn take(&self, claim: &Claim) -> Result<Turn, SecretError> {
        let told = {
            let mut state = self.0.lock();
            if !state.taken {
                state.taken = true;
                return Ok(Turn(Some(self.0.clone())));
            }
            let bad = self.0.is_bad(claim);
            state.enter(claim, bad)?
        };
        // Whose place is given to another hears of it by this error.
        told.await.map_err(|_| SecretError::Busy)
    }

    /// What came of an attempt.
    pub(super) fn note(&self, claim: &Claim, right: bool) {
        if right {
            self.0.wrong.invalidate(claim);
        } else {
            let before = self.0.wrong.get(claim).unwrap_or(0);
            self.0.wrong.insert(claim.clone(), before.saturating_add(1));
        }
    }
}

impl Shared {
    /// Nothing that holds the lock can leave the state half changed.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_bad(&self, claim: &Claim) -> bool {
        self.wrong.get(claim).is_some_and(|wrong| wrong >= PATIENCE)
    }
}

impl State {
    /// Stands at the end of the claim's queue.
    fn enter(&mut self, claim: &Claim, bad: bool) -> Result<oneshot::Receiver<Turn>, SecretError> {
        let mut own = self.queues.get(claim).map_or(0, VecDeque::len);
        if own >= MAX_OF_ONE || self.waiting >= MAX_WAITING {
            self.forget_those_who_left();
            own = self.queues.get(claim).map_or(0, VecDeque::len);
        }
        if own >= MAX_OF_ONE {
            return Err(SecretError::Busy);
        }
        if self.waiting >= MAX_WAITING {
            let longest = self.queues.values_mut().max_by_key(|queue| queue.len());
            let longest = longest.filter(|queue| queue.len() > own + 1);
            longest
                .and_then(VecDeque::pop_back)
                .ok_or(SecretError::Busy)?;
            self.waiting -= 1;
        }
        let (tell, told) = oneshot::channel();
        if let Some(queue) = self.queues.get_mut(claim) {
            queue.push_back(tell);
        } else {
            self.queues.insert(claim.clone(), VecDeque::from([tell]));
            self.line(bad).push_back(claim.clone());
        }
        self.waiting += 1;
        Ok(told)
    }

    fn line(&mut self, bad: bool) -> &mut VecDeque<Claim> {
        if bad { &mut self.bad } else { &mut self.good }
    }

    fn forget_those_who_left(&mut self) {
        self.queues.retain(|_, queue| {
            queue.retain(|waiter| !waiter.is_closed());
            !queue.is_empty()
        });
        self.waiting = self.queues.values().map(VecDeque::len).sum();
        let Self {
            queues, good, bad, ..
        } = self;
        for line in [good, bad] {
            line.retain(|claim| queues.contains_key(claim));
        }
    }

    /// Whoever is next. `is_bad` says where a claim stands from now on.
    fn next(&mut self, is_bad: impl Fn(&Claim) -> bool) -> Option<oneshot::Sender<Turn>> {
        self.passed = self.passed.wrapping_add(1);
        let mercy = self.passed.is_multiple_of(MERCY);
        let claim = self
            .line(mercy)
            .pop_front()
            .or_else(|| self.line(!mercy).pop_front())?;
        let queue = self.queues.get_mut(&claim)?;
        let next = queue.pop_front();
        if queue.is_empty() {
            self.queues.remove(&claim);
        } else {
            let bad = is_bad(&claim);
            self.line(bad).push_back(claim);
        }
        self.waiting -= usize::from(next.is_some());
        next
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(shared) = self.0.take() else {
            return;
        };
        loop {
            let next = {
                let mut state = shared.lock();
                let next = state.next(|claim| shared.is_bad(claim));
                if next.is_none() {
                    state.taken = false;
                }
                next
            };
            let Some(next) = next else {
                return;
            };
            match next.send(Turn(Some(shared.clone()))) {
                Ok(()) => return,
                // That one has left; the turn is not to be passed on by its drop, but here.
                Err(mut turn) => turn.0 = None,
            }
        }
    }
}

#[cfg(test)]
mod tests;
