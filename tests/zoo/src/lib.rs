//! A plugin that misbehaves on request. Settings choose how it opens, shuts down and drops; the
//! keys and names that calls give choose how those go (the constants of [`behaviour`]). What it
//! does it writes to a journal, a line each, so that a test can see it from outside.
//!
//! Calls run as a hop, except `store.list`, `blob.list`, `registry.list` and `registry.watch`,
//! which run inline.

mod behaviour;
mod blob;
mod broker;
mod cage;
mod excess;
mod journal;
mod registry;
mod runtime;
mod store;
mod stream;

use std::{collections::HashMap, future, path::PathBuf, sync::Mutex, time::Duration};

use broker::Post;
use cage::{Cage, Defect};
use excess::Excess;
use journal::Journal;
use micro_plugin_api::prelude::*;
use stream::Diary;

/// How this instance behaves.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct Settings {
    /// How it opens.
    open: Manner,
    /// How it answers when it is asked how it is.
    health: Manner,
    /// How it shuts down.
    shutdown: Manner,
    /// How it drops.
    drop: Manner,
    /// How each call of the store goes, whatever its key.
    calls: Manner,
    /// A store that keeps what it is given, and the promise that it breaks. Without it, it keeps
    /// nothing.
    cage: Option<Defect>,
    /// What it has too much of.
    excess: Excess,
    /// Where the journal is kept; nowhere if not said.
    journal: Option<PathBuf>,
    /// How long `slow` takes, in milliseconds.
    slow_ms: u64,
    /// Never used: to see that nobody shows it.
    password: Secret,
}

/// A way to open, shut down or drop.
#[derive(Clone, Copy, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Manner {
    /// As one should.
    #[default]
    Fine,
    /// Answers with an error.
    Fail,
    /// Panics.
    Panic,
    /// Takes `slow_ms`, waiting.
    Slow,
    /// Takes `slow_ms`, holding its thread.
    Block,
    /// Never ends.
    Hang,
    /// Ends the process.
    Abort,
}

impl Manner {
    async fn act(self, slow: Duration) -> Result<()> {
        match self {
            Self::Fine => {}
            Self::Fail => return Err(Error::unavailable("the zoo's keeper cannot be reached")),
            Self::Panic => panic!("asked to panic"),
            Self::Slow => tokio::time::sleep(slow).await,
            Self::Block => behaviour::hold_thread(slow),
            Self::Hang => future::pending().await,
            Self::Abort => std::process::abort(),
        }
        Ok(())
    }
}

/// The instance.
struct Zoo {
    journal: Journal,
    health: Manner,
    shutdown: Manner,
    drop: Manner,
    calls: Manner,
    cage: Option<Cage>,
    excess: Excess,
    post: Post,
    diary: Diary,
    /// What was written, by namespace and key.
    blobs: Mutex<HashMap<(String, String), (BlobInfo, Bytes)>>,
    slow: Duration,
    /// One buffer that every read of a large value shares.
    large: Bytes,
}

impl Zoo {
    async fn open(settings: Settings, host: Host) -> Result<Self> {
        // Held by nobody: it must show up in no output.
        drop(settings.password);
        let slow = Duration::from_millis(settings.slow_ms);
        settings.open.act(slow).await?;
        let journal = Journal::new(settings.journal);
        journal.write(&format!("opened for {}", host.plugin()));
        settings.excess.begin(&journal);
        Ok(Self {
            journal,
            health: settings.health,
            shutdown: settings.shutdown,
            drop: settings.drop,
            calls: settings.calls,
            cage: settings
                .cage
                .map(|defect| Cage::open(defect, host.state_dir())),
            excess: settings.excess,
            post: Post::default(),
            diary: Diary::default(),
            blobs: Mutex::default(),
            slow,
            large: Bytes::from(vec![42; 1 << 20]),
        })
    }
}

impl Drop for Zoo {
    fn drop(&mut self) {
        self.journal.write_with_context("dropped");
        match self.drop {
            Manner::Panic => panic!("asked to panic in a drop"),
            Manner::Block => behaviour::hold_thread(self.slow),
            _ => {}
        }
    }
}

export_plugin! {
    name: "zoo",
    store: Zoo::open,
    blob: Zoo::open,
    stream: Zoo::open,
    broker: Zoo::open,
    registry: Zoo::open,
    runtime: Zoo::open,
    run = hop,
    // The cage alone, and what is broken of it on purpose.
    promises = ["store.durable"],
    except = ["store.list", "blob.list", "registry.list", "registry.watch"],
}
