//! The table of instances, and who is told when it changes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use micro_plugin_api::{
    Error, Result,
    runtime::{Instance, InstanceChange, InstanceKey, State},
};
use tokio::sync::{broadcast, watch};

use crate::group::Group;

/// How many changes a watcher may be behind before it has to begin again.
const BACKLOG: usize = 1024;

/// One instance: what is told of it, and what is needed to end it.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) instance: Instance,
    pub(crate) group: Group,
    /// Set while somebody ends it: its end is then not one of its own.
    pub(crate) stopping: bool,
    /// Becomes true when its leader has ended.
    pub(crate) ended: watch::Receiver<bool>,
}

/// All instances. Every change is told under the lock, so that a watch misses and doubles none.
#[derive(Clone)]
pub(crate) struct Table {
    entries: Arc<Mutex<BTreeMap<InstanceKey, Entry>>>,
    changes: broadcast::Sender<InstanceChange>,
}

impl Table {
    pub(crate) fn new() -> Self {
        Self {
            entries: Arc::default(),
            changes: broadcast::Sender::new(BACKLOG),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<InstanceKey, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts an instance by `start`, unless one of that key runs. The lock is held meanwhile, so
    /// that of two calls one starts and the other is refused.
    pub(crate) fn insert(
        &self,
        key: &InstanceKey,
        start: impl FnOnce() -> Result<Entry>,
    ) -> Result<Instance> {
        let mut entries = self.lock();
        if let Some(entry) = entries.get(key)
            && (entry.stopping || entry.instance.state == State::Running)
        {
            return Err(Error::conflict(format!("{key} runs already")));
        }
        let entry = start()?;
        let instance = entry.instance.clone();
        entries.insert(key.clone(), entry);
        self.tell(InstanceChange::Started(instance.clone()));
        Ok(instance)
    }

    /// Notes that the leader of `group` ended. What else is in the group has nobody left to end it,
    /// unless somebody is stopping it and gives it its time.
    pub(crate) fn exited(&self, key: &InstanceKey, group: Group, state: State) {
        let mut entries = self.lock();
        let Some(entry) = entries
            .get_mut(key)
            .filter(|entry| entry.group.0 == group.0)
        else {
            return;
        };
        entry.instance.state = state;
        if !entry.stopping {
            group.signal(nix::sys::signal::Signal::SIGKILL);
            self.tell(InstanceChange::Exited(entry.instance.clone()));
        }
    }

    /// Marks an instance as being stopped; the entry as it was before that.
    pub(crate) fn begin_stop(&self, key: &InstanceKey) -> Option<Entry> {
        let mut entries = self.lock();
        let entry = entries.get_mut(key)?;
        let before = entry.clone();
        entry.stopping = true;
        Some(before)
    }

    /// Forgets an instance that was stopped.
    pub(crate) fn remove(&self, key: &InstanceKey) {
        let mut entries = self.lock();
        if let Some(entry) = entries.remove(key) {
            self.tell(InstanceChange::Stopped(entry.instance));
        }
    }

    /// Waits until nothing is known of `key`.
    pub(crate) async fn gone(&self, key: &InstanceKey) {
        let mut changes = self.changes.subscribe();
        while self.lock().contains_key(key) {
            // Any news, or having missed some: look again.
            let _ = changes.recv().await;
        }
    }

    pub(crate) fn keys(&self) -> Vec<InstanceKey> {
        self.lock().keys().cloned().collect()
    }

    pub(crate) fn list(&self, namespace: Option<&str>) -> Vec<Instance> {
        self.lock()
            .values()
            .map(|entry| &entry.instance)
            .filter(|instance| namespace.is_none_or(|wanted| instance.key.namespace == wanted))
            .cloned()
            .collect()
    }

    pub(crate) fn is_running(&self, key: &InstanceKey) -> bool {
        self.lock()
            .get(key)
            .is_some_and(|entry| entry.instance.state == State::Running)
    }

    /// What there is now, and what changes from there on.
    pub(crate) fn watch(&self) -> (Vec<Instance>, broadcast::Receiver<InstanceChange>) {
        let entries = self.lock();
        let present = entries.values().map(|entry| entry.instance.clone());
        (present.collect(), self.changes.subscribe())
    }

    fn tell(&self, change: InstanceChange) {
        // Nobody listening is no failure.
        let _ = self.changes.send(change);
    }
}
