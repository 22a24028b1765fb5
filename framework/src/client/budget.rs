//! How many retries a client may afford: when a service is down, everybody asking twice keeps it down.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Every call earns a tenth of a retry, up to ten in reserve.
#[derive(Debug)]
pub(super) struct Budget {
    tenths: AtomicU32,
}

const RESERVE: u32 = 100;
const COST: u32 = 10;

impl Default for Budget {
    fn default() -> Self {
        Self {
            tenths: AtomicU32::new(RESERVE),
        }
    }
}

impl Budget {
    pub(super) fn earn(&self) {
        let _ = self.tenths.fetch_update(Relaxed, Relaxed, |held| {
            (held < RESERVE).then_some(held + 1)
        });
    }

    /// Whether another retry can be afforded; it is paid for then.
    pub(super) fn spend(&self) -> bool {
        self.tenths
            .fetch_update(Relaxed, Relaxed, |held| held.checked_sub(COST))
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_in_reserve_then_one_in_ten() {
        let budget = Budget::default();
        budget.earn();
        assert_eq!((0..20).filter(|_| budget.spend()).count(), 10);
        for _ in 0..9 {
            budget.earn();
        }
        assert!(!budget.spend());
        budget.earn();
        assert!(budget.spend());
    }
}
