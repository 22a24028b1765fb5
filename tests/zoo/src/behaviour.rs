//! The behaviours that a call can ask for by its key.

use std::{future, panic, sync::Barrier, thread, time::Duration};

use micro_plugin_api::prelude::*;

use crate::{Zoo, journal::Leaves};

/// Panics before there is a future.
pub(crate) const PANIC_AT_ONCE: &str = "panic-at-once";
/// Panics when it is polled.
pub(crate) const PANIC: &str = "panic";
/// Panics with a value whose drop panics again.
pub(crate) const PANIC_TWICE: &str = "panic-twice";
/// Waits for ever; dropped, it says so in the journal.
pub(crate) const HANG: &str = "hang";
/// Waits for ever; dropped, it panics.
pub(crate) const PANIC_IN_DROP: &str = "panic-in-drop";
/// Holds its thread for half a second.
pub(crate) const BLOCK: &str = "block";
/// Holds its thread for five seconds.
pub(crate) const STUCK: &str = "stuck";
/// Takes `slow_ms`.
pub(crate) const SLOW: &str = "slow";
/// Logs at every level.
pub(crate) const LOG: &str = "log";
/// Two threads panic at the same time.
pub(crate) const PANIC_IN_THREADS: &str = "panic-in-threads";
/// Fails with every part of an error set.
pub(crate) const FAIL: &str = "fail";

/// Holds the thread that it is called on, as a plugin that blocks does.
#[expect(clippy::disallowed_methods, reason = "bad behaviour is the point")]
pub(crate) fn hold_thread(time: Duration) {
    thread::sleep(time);
}

impl Zoo {
    /// Acts as `key` asks.
    pub(crate) async fn act(&self, key: &str) -> Result<()> {
        match key {
            PANIC => panic!("asked to panic in a poll"),
            PANIC_TWICE => panic::panic_any(Twice),
            HANG => {
                let _leaves = Leaves {
                    journal: self.journal.clone(),
                    line: "cancelled",
                };
                self.journal.write("hanging");
                future::pending::<()>().await;
            }
            PANIC_IN_DROP => {
                let _twice = Twice;
                self.journal.write("hanging");
                future::pending::<()>().await;
            }
            BLOCK => hold_thread(Duration::from_millis(500)),
            STUCK => hold_thread(Duration::from_secs(5)),
            SLOW => tokio::time::sleep(self.slow).await,
            LOG => self.log(),
            PANIC_IN_THREADS => panic_in_threads(),
            FAIL => {
                return Err(Error::conflict("the cage is taken")
                    .with_retryable(true)
                    .with_detail(r#"{"cage":7}"#));
            }
            _ => {}
        }
        Ok(())
    }

    fn log(&self) {
        /// Says in the journal when it is turned into text.
        struct Shown<'a>(&'a Zoo);
        impl std::fmt::Debug for Shown<'_> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.journal.write("formatted");
                f.write_str("shown")
            }
        }
        tracing::info!(animals = 3, name = "Ape", "an event of tracing");
        tracing::warn!(target: "zoo::gate", "a gate is open");
        log::info!("a record of log");
        tracing::debug!(value = ?Shown(self), "nobody wants this");
        log::debug!("nor this: {:?}", Shown(self));
        // As a library does that the zoo is linked with.
        for level in [log::Level::Info, log::Level::Warn, log::Level::Warn] {
            log::logger().log(
                &log::Record::builder()
                    .level(level)
                    .target("locks")
                    .module_path(Some("locks::key"))
                    .args(format_args!("a lock is {level}"))
                    .build(),
            );
        }
    }
}

/// Panics when it is dropped.
struct Twice;

impl Drop for Twice {
    fn drop(&mut self) {
        panic!("asked to panic in the drop of a future");
    }
}

fn panic_in_threads() {
    let gate = Barrier::new(2);
    thread::scope(|scope| {
        let spawn = |animal: &'static str| {
            let gate = &gate;
            thread::Builder::new()
                .name("cage".to_owned())
                .spawn_scoped(scope, move || {
                    gate.wait();
                    panic!("{animal}");
                })
        };
        // Both before either is waited for; by hand, since the scope itself would panic too.
        for thread in [spawn("the ape panics"), spawn("the bear panics")] {
            let _ = thread.map(|thread| thread.join().map_err(std::mem::forget));
        }
    });
}
