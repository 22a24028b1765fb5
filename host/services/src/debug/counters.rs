//! How often a service was called, and how often that failed.

use std::sync::atomic::{AtomicU64, Ordering};

/// The counts of one service since the start of the server.
#[derive(Default)]
pub(crate) struct Counters {
    requests: AtomicU64,
    errors: AtomicU64,
}

impl Counters {
    /// One more call.
    pub(crate) fn count_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// The end of a call.
    pub(crate) fn count_error(&self, failed: bool) {
        self.errors.fetch_add(failed.into(), Ordering::Relaxed);
    }

    /// Calls, and calls that failed.
    pub(crate) fn read(&self) -> (u64, u64) {
        (
            self.requests.load(Ordering::Relaxed),
            self.errors.load(Ordering::Relaxed),
        )
    }
}
