//! How much memory request bodies may take while they are incomplete: for each connection, and in
//! all.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use micro_wire::{Error, error::CLIENT_ID};

/// What all connections together may have in incomplete bodies unless told otherwise, in bytes.
pub const DEFAULT_TOTAL: usize = 256 * 1024 * 1024;

/// What one connection may have unless told otherwise, in bytes: the largest body that a door
/// takes, and some.
pub const DEFAULT_SHARE: usize = 128 * 1024 * 1024;

/// The memory for bodies of requests that are held until they are complete, such as messages to
/// core services. What merely passes through on its way to a node is bounded by flow control
/// instead, and not counted here. Clones share it: a server has one.
#[derive(Clone, Debug)]
pub struct Budget {
    total: Arc<Pot>,
    share: usize,
}

/// Bytes that are taken, of a number that there are.
#[derive(Debug)]
struct Pot {
    limit: usize,
    taken: AtomicUsize,
}

impl Pot {
    fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            taken: AtomicUsize::new(0),
        })
    }

    fn take(&self, bytes: usize) -> bool {
        let fits = |taken: usize| {
            let taken = taken.checked_add(bytes)?;
            (taken <= self.limit).then_some(taken)
        };
        self.taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .is_ok()
    }

    fn give(&self, bytes: usize) {
        self.taken.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(DEFAULT_TOTAL, DEFAULT_SHARE)
    }
}

impl Budget {
    /// A budget of `total` bytes, of which one connection may have `share`.
    pub fn new(total: usize, share: usize) -> Self {
        Self {
            total: Pot::new(total),
            share,
        }
    }

    /// The part of one connection, which a door puts into the extensions of its requests.
    pub fn connection(&self) -> Share {
        Share {
            total: self.total.clone(),
            own: Pot::new(self.share),
        }
    }

    /// The bytes that are taken now.
    pub fn taken(&self) -> usize {
        self.total.taken.load(Ordering::Relaxed)
    }
}

/// What one connection may have of a [`Budget`]. Clones share it.
#[derive(Clone, Debug)]
pub struct Share {
    total: Arc<Pot>,
    own: Arc<Pot>,
}

impl Share {
    /// Nothing yet, to be grown as a body comes in.
    pub fn charge(&self) -> Charge {
        Charge {
            share: self.clone(),
            bytes: 0,
        }
    }
}

/// Bytes taken from a [`Budget`] until this is dropped.
#[derive(Debug)]
pub struct Charge {
    share: Share,
    bytes: usize,
}

impl Charge {
    /// Takes more.
    ///
    /// # Errors
    /// 429 if the connection has incomplete bodies of too many bytes, 503 if the server has.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Error> {
        let Share { total, own } = &self.share;
        if !own.take(bytes) {
            let detail = format!(
                "this connection has more than {} bytes in incomplete requests: send fewer large \
                 messages at a time",
                own.limit
            );
            return Err(Error::new(CLIENT_ID, 429, detail));
        }
        if !total.take(bytes) {
            own.give(bytes);
            let detail = format!(
                "the server holds {} bytes of incomplete requests, which is as much as it takes; \
                 try again shortly",
                total.limit
            );
            return Err(Error::service_unavailable(CLIENT_ID, detail));
        }
        self.bytes += bytes;
        Ok(())
    }

    /// Gives back this much of what was taken so far, or all of it if that is less.
    pub fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.share.total.give(bytes);
        self.share.own.give(bytes);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.shrink(usize::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_has_its_share_and_all_have_the_total() {
        let budget = Budget::new(100, 60);
        let (one, two) = (budget.connection(), budget.connection());
        let mut first = one.charge();
        first.grow(40).unwrap();
        let mut second = one.charge();
        assert_eq!(second.grow(21).unwrap_err().code, 429);
        second.grow(20).unwrap();
        let mut other = two.charge();
        assert_eq!(other.grow(41).unwrap_err().code, 503);
        assert_eq!(other.grow(usize::MAX).unwrap_err().code, 429);
        other.grow(40).unwrap();
        assert_eq!(budget.taken(), 100);
        first.shrink(usize::MAX);
        first.grow(10).unwrap();
        drop((first, second, other));
        assert_eq!(budget.taken(), 0);
        one.charge().grow(60).unwrap();
    }
}
