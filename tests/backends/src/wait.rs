//! The one way to wait in this crate: again and again, until a deadline.

use std::time::{Duration, Instant};

/// How long a server may take to answer on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// When to stop asking.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    /// [`PATIENCE`] from now.
    pub(crate) fn new() -> Self {
        Self(Instant::now() + PATIENCE)
    }

    /// Lets a moment pass; `false` once the deadline is over.
    pub(crate) async fn again(self) -> bool {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Instant::now() < self.0
    }
}
