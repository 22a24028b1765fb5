//! How long to wait before something is tried again: longer each time, up to a cap, and not in step
//! with everybody else.

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    time::Duration,
};

/// The waits of one who tries again.
#[derive(Clone, Debug)]
pub struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    /// Waits of at most `first` at first, and of at most `longest` in the end.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self {
            next: first,
            longest,
        }
    }

    /// How long to wait this time: between half and the whole of what it has come to.
    pub fn next_wait(&mut self) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(self.longest);
        // A hasher begins with random keys, which is random enough here.
        let random = RandomState::new().build_hasher().finish() % 1_000;
        whole / 2 + whole / 2 * u32::try_from(random).unwrap_or(0) / 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(1);

    #[test]
    fn waits_grow_up_to_the_cap_and_differ() {
        let mut backoff = Backoff::new(FIRST, LONGEST);
        let waits: Vec<_> = (0..50).map(|_| backoff.next_wait()).collect();
        assert!(waits[0] >= FIRST / 2 && waits[0] <= FIRST);
        assert!(
            waits[10..]
                .iter()
                .all(|wait| *wait >= LONGEST / 2 && *wait <= LONGEST)
        );
        assert!(waits[10..].iter().any(|wait| *wait != waits[10]));
    }
}
