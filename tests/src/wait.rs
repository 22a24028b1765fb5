//! The one way to wait in a test: for a condition, with a deadline.

use std::time::{Duration, Instant};

/// How long a test waits for what should be there soon, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks until there is an answer, and returns it.
///
/// # Panics
/// If there is none within [`PATIENCE`]; `what` says in the message what was waited for.
#[track_caller]
pub fn wait_for<T, F>(
    what: impl Into<String>,
    mut ask: impl FnMut() -> F,
) -> impl Future<Output = T>
where
    F: Future<Output = Option<T>>,
{
    let what = what.into();
    let place = std::panic::Location::caller();
    async move {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            assert!(
                Instant::now() < deadline,
                "{place}: waited {PATIENCE:?} for {what}"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
