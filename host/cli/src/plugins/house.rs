//! What a process shows of a plugin beyond its answers: panics, lines in the log, threads. Only a
//! process that does nothing but test one plugin can tell whose they are.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use super::trial::Ran;

/// How many lines a plugin may log while one rule is checked.
const LINES: u64 = 100;

/// How many threads a plugin may keep beyond its instances: a pool of its library, not a thread of
/// each of them.
const THREADS: usize = 32;

/// How long threads may take to end after the last instance was shut down.
const ENDING: Duration = Duration::from_secs(10);

static LOGGED: AtomicU64 = AtomicU64::new(0);
static PANICS: AtomicU64 = AtomicU64::new(0);
static FLOODS: AtomicU64 = AtomicU64::new(0);

/// What there was before the first instance.
pub(super) struct Before {
    threads: usize,
}

/// Counts from here on what plugins log in this process.
pub(super) fn watch() -> Before {
    // Fails only where it has been done before, which is as good.
    let _ = tracing::subscriber::set_global_default(Counter);
    Before { threads: threads() }
}

/// Whether the house is in order after so many rules were checked.
pub(super) async fn inspect(before: &Before, rules: u64) -> Vec<Ran> {
    let begun = Instant::now();
    let most = before.threads + THREADS;
    while threads() > most && begun.elapsed() < ENDING {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let left = threads();
    let logged = LOGGED.load(Ordering::Relaxed);
    let floods = FLOODS.load(Ordering::Relaxed) > 0;
    let panics = PANICS.load(Ordering::Relaxed);
    vec![
        ran(
            "plugin.panics",
            "The plugin panics nowhere, neither in a call nor when an instance is dropped.",
            (panics > 0).then(|| format!("it panicked {panics} times")),
        ),
        ran(
            "plugin.log",
            "The plugin logs no more than a hundred lines for each rule, at the level info and above.",
            (floods || logged > LINES * rules).then(|| {
                let more = if floods {
                    ", and more that a server would leave out"
                } else {
                    ""
                };
                format!("{logged} lines for {rules} rules{more}")
            }),
        ),
        ran(
            "plugin.threads",
            "What an instance started ends with it.",
            (left > most).then(|| {
                let begun = left.saturating_sub(before.threads);
                format!("{begun} threads are left after the last instance was shut down")
            }),
        ),
    ]
}

fn ran(name: &str, rule: &str, reason: Option<String>) -> Ran {
    Ran {
        name: name.to_owned(),
        rule: rule.to_owned(),
        outcome: if reason.is_some() { "failed" } else { "passed" }.to_owned(),
        reason,
        seconds: 0.0,
    }
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

/// Counts the events of plugins, and writes none.
struct Counter;

impl Subscriber for Counter {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Events, and the question whether there would be one.
        !metadata.is_span()
            && metadata.target() == "micro::plugin"
            && *metadata.level() <= Level::INFO
    }

    fn event(&self, event: &Event<'_>) {
        let mut kind = Kind::default();
        event.record(&mut kind);
        let count = if kind.is_panic { &PANICS } else { &LOGGED };
        count.fetch_add(1, Ordering::Relaxed);
        if kind.is_flood {
            FLOODS.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// What an event is about.
#[derive(Default)]
struct Kind {
    is_panic: bool,
    /// The host left out lines.
    is_flood: bool,
}

impl Visit for Kind {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.is_panic |= field.name() == "source" && value == "panic";
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.is_flood |= field.name() == "flood" && value;
    }
    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}
