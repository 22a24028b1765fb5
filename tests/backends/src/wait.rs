//! The one way to wait in tests of plugins, and in this crate: again and again, until a deadline.

use std::{
    panic::Location,
    time::{Duration, Instant},
};

/// How long what should be there soon may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long a moment is.
const MOMENT: Duration = Duration::from_millis(10);

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
        tokio::time::sleep(MOMENT).await;
        Instant::now() < self.0
    }
}

/// Asks until there is an answer, and returns it.
///
/// # Panics
/// If there is none within [`PATIENCE`], telling the place of this call.
#[track_caller]
pub fn until<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> impl Future<Output = T> {
    let place = Location::caller();
    async move {
        let deadline = Deadline::new();
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            assert!(deadline.again().await, "{place}: waited for {PATIENCE:?}");
        }
    }
}

/// Asks until something holds.
///
/// # Panics
/// As [`until`].
#[track_caller]
pub fn eventually(mut holds: impl AsyncFnMut() -> bool) -> impl Future<Output = ()> {
    until(async move || holds().await.then_some(()))
}

/// The result of something that should come soon. `what` it is stands in the message.
///
/// # Panics
/// As [`until`].
#[track_caller]
pub fn soon<T>(what: &str, future: impl Future<Output = T>) -> impl Future<Output = T> {
    let place = Location::caller();
    async move {
        let done = tokio::time::timeout(PATIENCE, future).await;
        done.unwrap_or_else(|_| panic!("{place}: waited {PATIENCE:?} for {what}"))
    }
}
