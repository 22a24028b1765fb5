//! Collects records that have expired: they are absent already, this gives their space back.

use std::{
    ops::Bound,
    time::{Duration, Instant},
};

use micro_plugin_api::{Result, store::Expiry};

use super::{engine::Engine, key, record};

/// How often it looks, at least.
const INTERVAL: Duration = Duration::from_secs(5);

/// How many it collects before commits that wait have their turn.
const AT_ONCE: usize = 1_000;

/// How far the collecting has come.
pub(super) struct Sweep {
    /// Everything that expires before it is collected, so that the engine need not pass over the
    /// traces of what was.
    from: Expiry,
    due: Instant,
}

impl Sweep {
    /// Begins a while after the start, which has enough to do.
    pub(super) fn new() -> Self {
        Self {
            from: Expiry(0),
            due: Instant::now() + INTERVAL,
        }
    }

    /// How long until it is due.
    pub(super) fn wait(&self) -> Duration {
        self.due.saturating_duration_since(Instant::now())
    }

    /// Whether it is due.
    pub(super) fn is_due(&self) -> bool {
        self.wait().is_zero()
    }

    /// Tells of a record that expires then.
    pub(super) fn expects(&mut self, expiry: Expiry) {
        self.from = self.from.min(expiry);
    }

    /// Collects some of what has expired.
    ///
    /// # Errors
    /// Those of the engine, which must be opened again then.
    pub(super) fn run(&mut self, engine: &Engine) -> Result<()> {
        let engine = engine.get()?;
        let now = Expiry::after(Duration::ZERO);
        let (from, to) = (key::of_expiry(self.from, &[]), key::of_expiry(now, &[]));
        let mut batch = engine.lazy_batch();
        let mut count = 0;
        self.due = Instant::now() + INTERVAL;
        let mut come_to = now;
        for entry in engine.range(Bound::Included(from), Bound::Excluded(to)) {
            let entry = entry
                .key()
                .map_err(|error| engine.failed("collect expired records", &error))?;
            let Some((expiry, record)) = key::read_expiry(&entry) else {
                continue;
            };
            if count == AT_ONCE {
                come_to = expiry;
                self.due = Instant::now();
                break;
            }
            count += 1;
            let bytes = engine
                .get(record)
                .map_err(|error| engine.failed("collect expired records", &error))?;
            // One that was written again has another expiry; a damaged one stays, to be told of.
            let head = bytes.and_then(|bytes| record::verify(record, &bytes).ok());
            if head.is_some_and(|head| head.expiry == Some(expiry)) {
                batch.remove(record.to_vec());
            }
            batch.remove(entry.to_vec());
        }
        if count > 0 {
            batch
                .commit()
                .map_err(|error| engine.failed("collect expired records", &error))?;
        }
        self.from = come_to;
        Ok(())
    }
}
