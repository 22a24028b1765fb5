//! When accounts and rules last changed, so that what was read of them can be kept until then.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// How long the store may go unread before admin calls are refused.
const STALE_AFTER: Duration = Duration::from_secs(5);

/// A number that grows whenever something may have been taken away: an account deleted, a secret
/// changed, a rule written. Who keeps a value keeps the number that stood *before* they read it;
/// while both are equal the value holds.
pub(crate) struct Epoch {
    current: AtomicU64,
    base: Instant,
    /// Milliseconds after `base` at which the store was last read.
    read: AtomicU64,
}

impl Epoch {
    pub(crate) fn new() -> Self {
        Self {
            current: AtomicU64::new(1),
            base: Instant::now(),
            read: AtomicU64::new(0),
        }
    }

    /// The number now; never 0.
    pub(crate) fn current(&self) -> u64 {
        self.current.load(Ordering::Acquire)
    }

    /// Whatever anybody keeps holds no more.
    pub(crate) fn advance(&self) {
        self.current.fetch_add(1, Ordering::AcqRel);
    }

    /// The store said at this moment whether something changed.
    pub(crate) fn mark_read(&self) {
        let millis = self.base.elapsed().as_millis();
        self.read
            .store(millis.try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Whether the store has not been read for so long that what is kept may be wrong.
    pub(crate) fn is_stale(&self) -> bool {
        let read = Duration::from_millis(self.read.load(Ordering::Relaxed));
        self.base.elapsed().saturating_sub(read) > STALE_AFTER
    }
}
