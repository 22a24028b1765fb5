//! Watching folders, so that whoever runs by a profile learns that one of its files has changed.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};

/// Watches folders until it is dropped.
#[derive(Debug)]
pub struct Watch {
    watcher: RecommendedWatcher,
    folders: BTreeSet<PathBuf>,
}

/// Why nothing can be watched.
#[derive(Debug, thiserror::Error)]
#[error("cannot watch files for changes: {0}")]
pub struct WatchError(#[from] notify::Error);

impl Watch {
    /// Watches nothing yet. `changed` is called on a thread of the watcher's, once for each of the
    /// many events that one change may be, and should return at once.
    ///
    /// # Errors
    /// The system has no more watches to give.
    pub fn new(changed: impl Fn() + Send + Sync + 'static) -> Result<Self, WatchError> {
        let changed = Arc::new(changed);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // An error may be an overflow: something has changed.
            if event.as_ref().map_or(true, changes) {
                changed();
            }
        })?;
        Ok(Self {
            watcher,
            folders: BTreeSet::new(),
        })
    }

    /// Watches the folders of these files, and the folders among them, and nothing else any more.
    /// A folder and not a file, since files are replaced by renaming. What is not there is left
    /// out.
    ///
    /// # Errors
    /// A folder that cannot be watched; those after it may not be either.
    pub fn set(&mut self, paths: impl IntoIterator<Item = PathBuf>) -> Result<(), WatchError> {
        let folders: BTreeSet<_> = paths.into_iter().filter_map(folder).collect();
        for left in self.folders.difference(&folders) {
            // One that is gone is not watched either.
            let _ = self.watcher.unwatch(left);
        }
        self.folders = self.folders.intersection(&folders).cloned().collect();
        for folder in folders {
            if !self.folders.contains(&folder) {
                self.watcher.watch(&folder, RecursiveMode::NonRecursive)?;
                self.folders.insert(folder);
            }
        }
        Ok(())
    }
}

fn folder(path: PathBuf) -> Option<PathBuf> {
    if path.is_dir() {
        return Some(path);
    }
    match path.parent() {
        Some(parent) if parent == Path::new("") => Some(PathBuf::from(".")),
        parent => parent.filter(|parent| parent.is_dir()).map(Path::to_owned),
    }
}

/// Whether an event says that something is another one now: reading is none.
fn changes(event: &Event) -> bool {
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}
