//! What an instance has too much of: lines in the log, threads, tasks, items of a stream.

use std::{future, thread, time::Duration};

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
    /// Blobs without end, slowly.
    Stream,
}

/// How many threads or tasks an instance leaves behind.
const LEFT_BEHIND: usize = 2;

impl Excess {
    /// Begins with it. Called within the instance's runtime.
    pub(crate) fn begin(self, journal: &Journal) {
        match self {
            Self::Nothing | Self::Stream => {}
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

    /// How long there is between two items of a stream, if that is to be slow.
    pub(crate) fn pace(self) -> Option<Duration> {
        (self == Self::Stream).then_some(Duration::from_millis(1))
    }
}
