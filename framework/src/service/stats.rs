//! What a process counts about itself, and the last calls it answered.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use micro_proto::debug::{Span, StatsResponse};

/// How many calls are remembered.
const REMEMBERED: usize = 256;

/// Counters of one service.
pub(super) struct Stats {
    started: SystemTime,
    since: Instant,
    requests: AtomicU64,
    errors: AtomicU64,
    spans: Mutex<VecDeque<Span>>,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            started: SystemTime::now(),
            since: Instant::now(),
            requests: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            spans: Mutex::new(VecDeque::with_capacity(REMEMBERED)),
        }
    }
}

impl Stats {
    pub(super) fn count(&self, failed: bool) {
        self.requests.fetch_add(1, Relaxed);
        if failed {
            self.errors.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn remember(&self, span: Span) {
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        if spans.len() == REMEMBERED {
            spans.pop_front();
        }
        spans.push_back(span);
    }

    /// The remembered calls of a trace, or all; oldest first.
    pub(super) fn spans(&self, trace: &str) -> Vec<Span> {
        let spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        spans
            .iter()
            .filter(|span| trace.is_empty() || span.trace == trace)
            .cloned()
            .collect()
    }

    pub(super) fn now(&self) -> StatsResponse {
        StatsResponse {
            timestamp: seconds(SystemTime::now()),
            started: seconds(self.started),
            uptime: self.since.elapsed().as_secs(),
            memory: proc_status("VmRSS:").map_or(0, |kib| kib * 1024),
            threads: proc_status("Threads:").unwrap_or(0),
            // Nothing is collected here.
            gc: 0,
            requests: self.requests.load(Relaxed),
            errors: self.errors.load(Relaxed),
        }
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// A number of `/proc/self/status`; `None` where there is no such file.
fn proc_status(key: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}
