//! Calls that go on whatever happens, and what became of each.

use std::{
    future::Future,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use micro::Error;
use micro_tests::wait_for;
use tokio::task::JoinSet;

/// How many callers there are: one that is held up does not hold up the others.
const CALLERS: usize = 4;

/// No call takes so long to fail on the slowest machine: their deadline is ten seconds.
const LATE: Duration = Duration::from_secs(60);

/// The pause between the calls of one caller.
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Default)]
struct Outcome {
    /// The numbers that were acknowledged, and when they were sent.
    acknowledged: Vec<(u64, Instant)>,
    /// What failed, and when it did.
    failed: Vec<(Error, Instant)>,
    /// The longest that a call took which failed.
    slowest: Duration,
}

impl Outcome {
    fn note(&mut self, number: u64, begun: Instant, result: Result<(), Error>) {
        match result {
            Ok(()) => self.acknowledged.push((number, begun)),
            Err(error) => {
                self.failed.push((error, Instant::now()));
                self.slowest = self.slowest.max(begun.elapsed());
            }
        }
    }
}

/// Calls that go on until this is dropped.
pub(crate) struct Traffic {
    outcome: Arc<Mutex<Outcome>>,
    callers: JoinSet<()>,
}

impl Traffic {
    /// Calls `send` with one number after the other.
    pub(crate) fn start<F>(send: impl Fn(u64) -> F + Clone + Send + 'static) -> Self
    where
        F: Future<Output = Result<(), Error>> + Send,
    {
        let outcome = Arc::new(Mutex::new(Outcome::default()));
        let next = Arc::new(AtomicU64::new(0));
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            let (send, outcome, next) = (send.clone(), outcome.clone(), next.clone());
            callers.spawn(async move {
                loop {
                    let (number, begun) = (next.fetch_add(1, Ordering::Relaxed), Instant::now());
                    let result = send(number).await;
                    outcome
                        .lock()
                        .expect("no panic")
                        .note(number, begun, result);
                    // Not a wait: calls come one after another, and not as fast as they can.
                    tokio::time::sleep(PAUSE).await;
                }
            });
        }
        Self { outcome, callers }
    }

    fn outcome(&self) -> MutexGuard<'_, Outcome> {
        self.outcome.lock().expect("no panic")
    }

    /// Waits until a call that was sent after `since` is acknowledged.
    pub(crate) async fn succeeds(&self, since: Instant) {
        wait_for("a call to succeed", || {
            let sent = self.outcome().acknowledged.iter().any(|it| it.1 >= since);
            async move { sent.then_some(()) }
        })
        .await;
    }

    /// Waits until a call fails after `since`.
    pub(crate) async fn fails(&self, since: Instant) {
        wait_for("a call to fail", || {
            let failed = self.outcome().failed.iter().any(|it| it.1 >= since);
            async move { failed.then_some(()) }
        })
        .await;
    }

    /// Ends it. What failed has said that it may be tried again; the numbers that were
    /// acknowledged.
    pub(crate) async fn end(mut self) -> Vec<u64> {
        self.callers.shutdown().await;
        let outcome = self.outcome();
        for (error, _) in &outcome.failed {
            assert_unavailable(error);
        }
        let (failed, slowest) = (outcome.failed.len(), outcome.slowest);
        eprintln!("{failed} calls failed, each within {slowest:?}");
        assert!(slowest < LATE, "a call took {slowest:?} to fail");
        outcome.acknowledged.iter().map(|it| it.0).collect()
    }

    /// Ends it. Nothing has failed.
    pub(crate) async fn end_without_failure(self) {
        let failed = self.outcome().failed.first().map(|it| it.0.clone());
        assert!(failed.is_none(), "{failed:?}");
        assert!(!self.end().await.is_empty(), "nothing was called at all");
    }
}

/// The error says that the backend is not there, or did not answer within the call's deadline.
pub(crate) fn assert_unavailable(error: &Error) {
    assert!(matches!(error.code, 503 | 408), "{error:?}");
}
