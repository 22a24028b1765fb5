//! What this process uses, as Linux tells it.

use std::{
    fs,
    sync::LazyLock,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use micro_proto::debug::StatsResponse;

use super::Counters;

/// When the process began to serve: the first time that anybody asks, at the latest.
static STARTED: LazyLock<(Instant, u64)> = LazyLock::new(|| (Instant::now(), unix_seconds()));

/// Notes that the process serves from now on.
pub(crate) fn start() {
    LazyLock::force(&STARTED);
}

/// The counts of a service with the resources of the process that it shares.
pub(crate) fn stats(counters: &Counters) -> StatsResponse {
    let (since, started) = *STARTED;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let (requests, errors) = counters.read();
    StatsResponse {
        timestamp: unix_seconds(),
        started,
        uptime: since.elapsed().as_secs(),
        memory: field(&status, "VmRSS:") * 1024,
        threads: field(&status, "Threads:"),
        // There is no garbage collector that could pause.
        gc: 0,
        requests,
        errors,
    }
}

/// The first number after `name` in the text of `/proc/self/status`; 0 where there is none.
fn field(status: &str, name: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_is_used() {
        let counters = Counters::default();
        counters.count_request();
        counters.count_request();
        counters.count_error(true);
        counters.count_error(false);
        let stats = stats(&counters);
        assert!(stats.memory > 100_000, "{stats:?}");
        assert!(stats.threads >= 1, "{stats:?}");
        assert!(stats.started <= stats.timestamp, "{stats:?}");
        assert_eq!((stats.requests, stats.errors), (2, 1));
    }
}
