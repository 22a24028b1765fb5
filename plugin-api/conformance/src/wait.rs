//! The one way to wait in a case: for a condition, with a deadline.

use std::time::{Duration, Instant};

use crate::check::{Verdict, ensure};

/// Asks again and again until the answer is yes; fails with `what` after ten seconds.
pub(crate) async fn eventually(what: &str, mut ask: impl AsyncFnMut() -> Verdict<bool>) -> Verdict {
    let patience = Duration::from_secs(10);
    let begun = Instant::now();
    while !ask().await? {
        ensure!(
            begun.elapsed() < patience,
            "not within {patience:?}: {what}"
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}
