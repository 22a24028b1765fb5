//! Waiting for a condition, with a deadline.

use std::time::Duration;

/// How long is long enough, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until a condition holds.
///
/// # Panics
/// When it does not within a minute; `what` says in the message what was waited for.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    until_async(what, async || condition()).await;
}

/// Waits until an asynchronous condition holds.
///
/// # Panics
/// As [`until`].
pub async fn until_async(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let poll = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let came = tokio::time::timeout(PATIENCE, poll).await;
    assert!(came.is_ok(), "waited {PATIENCE:?} in vain: {what}");
}
