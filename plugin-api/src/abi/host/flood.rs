//! How much of what a plugin logs is written: one that logs in a loop must not fill the disk, nor
//! drown what the others say.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How many lines of one plugin are written in one [`WINDOW`].
pub(super) const LINES: u64 = 1_000;

/// The time that lines are counted in.
const WINDOW: Duration = Duration::from_secs(1);

/// What becomes of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is written. So many were left out before it, of which nothing was said yet.
    Write { left_out: u64 },
    /// It is left out, the first of its window.
    Warn,
    /// It is left out.
    Drop,
}

/// The lines of every plugin.
pub(super) struct Meter(Mutex<Option<HashMap<String, Window>>>);

struct Window {
    begun: Instant,
    lines: u64,
}

impl Meter {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Counts a line of `plugin` at a time.
    pub(super) fn count(&self, plugin: &str, now: Instant) -> Verdict {
        let mut windows = lock(&self.0);
        let windows = windows.get_or_insert_default();
        let Some(window) = windows.get_mut(plugin) else {
            let first = Window {
                begun: now,
                lines: 1,
            };
            windows.insert(plugin.to_owned(), first);
            return Verdict::Write { left_out: 0 };
        };
        if now.saturating_duration_since(window.begun) >= WINDOW {
            let left_out = window.lines.saturating_sub(LINES);
            *window = Window {
                begun: now,
                lines: 1,
            };
            return Verdict::Write { left_out };
        }
        window.lines += 1;
        match window.lines {
            0..=LINES => Verdict::Write { left_out: 0 },
            lines if lines == LINES + 1 => Verdict::Warn,
            _ => Verdict::Drop,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_one_plugin_is_cut_and_told_of() {
        let meter = Meter::new();
        let begun = Instant::now();
        for _ in 0..LINES {
            assert_eq!(meter.count("ape", begun), Verdict::Write { left_out: 0 });
        }
        assert_eq!(meter.count("ape", begun), Verdict::Warn);
        let almost = begun + WINDOW - Duration::from_millis(1);
        assert_eq!(meter.count("ape", almost), Verdict::Drop);
        assert_eq!(meter.count("bear", almost), Verdict::Write { left_out: 0 });
        let next = begun + WINDOW;
        assert_eq!(meter.count("ape", next), Verdict::Write { left_out: 2 });
        assert_eq!(meter.count("ape", next), Verdict::Write { left_out: 0 });
    }
}
