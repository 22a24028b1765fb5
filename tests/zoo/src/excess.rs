//! What an instance has too much of: lines in the log, threads, tasks, items of a stream, bytes of an
//! item, what waits for a reader.

use std::{future, thread};

use micro_plugin_api::prelude::*;

use crate::journal::{Journal, Leaves};

/// One kind of too much.
#[derive(Clone, Copy, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Excess {
    /// None.
    #[default]
    Nothing,
    /// Logs without end, as long as the instance lives.
    Log,
    /// Threads that nobody ends.
    Threads,
    /// Tasks that nobody ends.
    Tasks,
    /// Streams without end, as fast as they are read: blobs longer than they say, services, messages
    /// and events that nobody made.
    Stream,
    /// The same, each item twice as large as the one before.
    Items,
    /// A service that changes without end.
    Changes,
    /// What waits for a subscriber that does not read.
    Backlog,
}

/// The bytes of the first item of a stream without end.
const ITEM: usize = 1 << 10;

/// How often an item is twice as large as the one before: a server that survives a gibibyte survives
/// more, and one that does not should not take the machine with it.
const DOUBLED: u64 = 20;

/// How many threads or tasks an instance leaves behind.
const LEFT_BEHIND: usize = 2;

impl Excess {
    /// Begins with it. Called within the instance's runtime.
    pub(crate) fn begin(self, journal: &Journal) {
        match self {
            Self::Nothing | Self::Stream | Self::Items | Self::Changes | Self::Backlog => {}
            Self::Log => drop(tokio::spawn(async {
                loop {
                    for line in 0..100 {
                        tracing::info!(line, "a flood");
                    }
                    tokio::task::yield_now().await;
                }
            })),
            Self::Threads => {
                for _ in 0..LEFT_BEHIND {
                    // It ends with the process.
                    let _ = thread::Builder::new().spawn(|| {
                        loop {
                            thread::park();
                        }
                    });
                }
            }
            Self::Tasks => {
                for _ in 0..LEFT_BEHIND {
                    let leaves = Leaves {
                        journal: journal.clone(),
                        line: "task ended",
                    };
                    tokio::spawn(async move {
                        let _held = leaves;
                        future::pending::<()>().await;
                    });
                }
            }
        }
    }

    /// Whether streams have no end.
    pub(crate) fn floods(self) -> bool {
        matches!(self, Self::Stream | Self::Items)
    }

    /// An item of a stream that has no end.
    pub(crate) fn item(self, at: u64) -> Bytes {
        let doubled = if self == Self::Items {
            at.min(DOUBLED)
        } else {
            0
        };
        Bytes::from(vec![b'x'; ITEM << doubled])
    }
}
