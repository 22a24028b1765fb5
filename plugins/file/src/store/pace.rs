//! Whether reads are quick enough to be done where they are asked for.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// How long a read may hold up the thread that asked for it.
const QUICK: Duration = Duration::from_millis(1);

/// For how many reads another thread is taken after one that was not quick.
const AWAY: u32 = 1_000;

/// What a hop to a thread that may block costs is several times what a read costs that finds its
/// block in memory. So reads stay where they are for as long as they are quick, and one in
/// [`AWAY`] at most holds up its thread for longer.
#[derive(Debug, Default)]
pub(super) struct Pace(AtomicU32);

impl Pace {
    /// Whether the next read may be done here.
    pub(super) fn is_quick(&self) -> bool {
        let away = |left: u32| left.checked_sub(1);
        let relaxed = Ordering::Relaxed;
        self.0.fetch_update(relaxed, relaxed, away).is_err()
    }

    /// A read, here or elsewhere, took so long.
    pub(super) fn note(&self, took: Duration) {
        if took > QUICK {
            self.0.store(AWAY, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slow_read_sends_many_away() {
        let pace = Pace::default();
        pace.note(QUICK);
        assert!(pace.is_quick());
        pace.note(2 * QUICK);
        for _ in 0..AWAY {
            assert!(!pace.is_quick());
            pace.note(QUICK);
        }
        assert!(pace.is_quick());
    }
}
