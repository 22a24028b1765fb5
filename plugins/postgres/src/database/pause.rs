//! Pauses between attempts: longer each time up to a cap, and varied, so that many who wait do not
//! come back together.

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    time::Duration,
};

/// The first pause, before it is varied.
const FIRST: Duration = Duration::from_millis(20);

/// The longest.
const LONGEST: Duration = Duration::from_secs(1);

/// A row of pauses.
pub(crate) struct Pauses {
    next: Duration,
}

impl Pauses {
    pub(crate) fn new() -> Self {
        Self { next: FIRST }
    }

    /// Waits for the next of them.
    pub(crate) async fn wait(&mut self) {
        // Randomly keyed, which is all the chance that is needed here.
        let chance = RandomState::new().build_hasher().finish() % 1_000;
        let pause = self.take(chance);
        tokio::time::sleep(pause).await;
    }

    /// Between a half and the whole of what is due; `chance` is below 1000.
    fn take(&mut self, chance: u64) -> Duration {
        let due = self.next;
        self.next = (due * 2).min(LONGEST);
        due.mul_f64(0.5 + chance as f64 / 2_000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_vary() {
        let mut pauses = Pauses::new();
        let whole: Vec<_> = (0..8).map(|_| pauses.take(1_000).as_millis()).collect();
        assert_eq!(whole, [20, 40, 80, 160, 320, 640, 1_000, 1_000]);
        assert_eq!(pauses.take(0).as_millis(), 500);
    }
}
