//! Watching a path: its value now, and again whenever something below it has changed.

use std::time::Duration;

use futures::{Stream, StreamExt as _};
use micro_plugin_api::{BoxStream, Code, Result as ModuleResult, store::RecordChange};

use super::{
    path::Path,
    stored::{ConfigError, Stored, TABLE},
    tree::{Node, differences},
};

/// How long a watch waits before it looks again, where the store cannot tell of changes, or does
/// not just now.
const PAUSE: Duration = Duration::from_millis(500);

/// What a watcher is told: the node at its path, and the paths below which it differs from what it
/// was told before.
pub(super) struct Told {
    pub(super) node: Option<Node>,
    pub(super) changed: Vec<String>,
}

/// Follows a path of a namespace's configuration. Changes that come fast are told together. It
/// ends with the first error.
pub(super) fn watch(
    stored: Stored,
    namespace: String,
    path: Path,
) -> impl Stream<Item = Result<Told, ConfigError>> {
    async_stream::try_stream! {
        let mut wakeups = Wakeups::new(stored.clone(), namespace.clone());
        let mut told: Option<Option<Node>> = None;
        let mut seen = None;
        loop {
            // Begun before reading, so that no change falls between.
            wakeups.begin().await?;
            let (tree, version) = stored.read(&namespace).await?.unzip();
            if told.is_none() || version != seen {
                seen = version;
                let node = tree.as_ref().and_then(|tree| tree.at(&path)).cloned();
                let changed = told.as_ref().map_or_else(Vec::new, |before| {
                    differences(before.as_ref(), node.as_ref(), &path)
                });
                if told.is_none() || !changed.is_empty() {
                    told = Some(node.clone());
                    yield Told { node, changed };
                }
            }
            wakeups.next().await;
        }
    }
}

/// When the record of a namespace may have changed.
struct Wakeups {
    stored: Stored,
    namespace: String,
    changes: Option<BoxStream<ModuleResult<RecordChange>>>,
    /// Whether the store tells of changes at all, so that asking again makes sense.
    told: bool,
}

impl Wakeups {
    fn new(stored: Stored, namespace: String) -> Self {
        Self {
            stored,
            namespace,
            changes: None,
            told: true,
        }
    }

    /// Makes sure that changes from now on are noticed.
    async fn begin(&mut self) -> Result<(), ConfigError> {
        if self.changes.is_some() || !self.told {
            return Ok(());
        }
        let store = self.stored.modules.store();
        let watched = store.watch(&Stored::call(), TABLE, &self.namespace).await;
        match watched {
            Ok(changes) => self.changes = Some(changes),
            Err(error) if error.code() == Code::UNSUPPORTED => self.told = false,
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Waits until there may be something to read.
    async fn next(&mut self) {
        let Some(changes) = &mut self.changes else {
            return tokio::time::sleep(PAUSE).await;
        };
        loop {
            match changes.next().await {
                // Of another namespace, whose name begins with this one's.
                Some(Ok(change)) if change.key() != self.namespace => {}
                Some(Ok(_)) => return,
                // It fell behind, or the store was swapped: read, and watch anew.
                Some(Err(_)) | None => {
                    self.changes = None;
                    return tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}
