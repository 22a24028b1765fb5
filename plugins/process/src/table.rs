//! The table of instances, and who is told when it changes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use micro_plugin_api::{
    Error, Result,
    runtime::{Instance, InstanceChange, InstanceKey, State},
};
use tokio::sync::{broadcast, watch};

use crate::runtime::unix_millis;

/// How many changes a watcher may be behind before it has to begin again.
const BACKLOG: usize = 1024;

/// One instance: what is told of it, and how its supervisor is told to end it.
pub(crate) struct Entry {
    /// Names this start among all of its key.
    pub(crate) id: String,
    pub(crate) instance: Instance,
    /// How long it has to run for its restarts to be forgotten.
    pub(crate) healthy: Duration,
    /// Some grace, once somebody ends it.
    pub(crate) stop: watch::Sender<Option<Duration>>,
}

impl Entry {
    fn is_stopping(&self) -> bool {
        self.stop.borrow().is_some()
    }

    /// As it is told of.
    fn instance(&self) -> Instance {
        let mut instance = self.instance.clone();
        let ran = unix_millis().saturating_sub(instance.started_at);
        if instance.state == State::Running && u128::from(ran) >= self.healthy.as_millis() {
            instance.restarts = 0;
        }
        instance
    }
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

    /// Starts an instance by `start`, unless one of that key runs, waits to run, or is being ended.
    /// The lock is held meanwhile, so that of two calls one starts and the other is refused. Also
    /// gives the id of one that had ended and is forgotten for it.
    pub(crate) fn insert(
        &self,
        key: &InstanceKey,
        start: impl FnOnce() -> Result<Entry>,
    ) -> Result<(Instance, Option<String>)> {
        let mut entries = self.lock();
        if let Some(entry) = entries.get(key) {
            let is = match entry.instance.state {
                _ if entry.is_stopping() => Some("is being stopped"),
                State::Running => Some("runs already"),
                State::Exited(_) => None,
                _ => Some("waits to be started again; stop it first"),
            };
            if let Some(is) = is {
                return Err(Error::conflict(format!("{key} {is}")));
            }
        }
        let entry = start()?;
        let instance = entry.instance.clone();
        let before = entries.insert(key.clone(), entry);
        self.tell(InstanceChange::Started(instance.clone()));
        Ok((instance, before.map(|before| before.id)))
    }

    /// Changes an instance, and tells what `change` makes of it; false if there is none of that id
    /// any more, or somebody is ending it: then nothing was changed.
    pub(crate) fn change(
        &self,
        key: &InstanceKey,
        id: &str,
        change: impl FnOnce(&mut Instance) -> fn(Instance) -> InstanceChange,
    ) -> bool {
        self.try_change(key, id, |instance| Ok::<_, ()>(change(instance)))
            .is_ok_and(|changed| changed)
    }

    /// As [`Table::change`], where the change may fail; it is made under the lock, so that nobody
    /// begins to end the instance meanwhile.
    pub(crate) fn try_change<E>(
        &self,
        key: &InstanceKey,
        id: &str,
        change: impl FnOnce(&mut Instance) -> Result<fn(Instance) -> InstanceChange, E>,
    ) -> Result<bool, E> {
        let mut entries = self.lock();
        let Some(entry) = entries
            .get_mut(key)
            .filter(|entry| entry.id == id && !entry.is_stopping())
        else {
            return Ok(false);
        };
        let kind = change(&mut entry.instance)?;
        self.tell(kind(entry.instance.clone()));
        Ok(true)
    }

    /// Asks the supervisor of an instance to end it; its id. If somebody did already, the shorter
    /// grace counts.
    pub(crate) fn begin_stop(&self, key: &InstanceKey, grace: Duration) -> Option<String> {
        let entries = self.lock();
        let entry = entries.get(key)?;
        entry.stop.send_if_modified(|stop| {
            let is_shorter = stop.is_none_or(|before| grace < before);
            if is_shorter {
                *stop = Some(grace);
            }
            is_shorter
        });
        Some(entry.id.clone())
    }

    /// Forgets an instance that was stopped.
    pub(crate) fn remove(&self, key: &InstanceKey, id: &str) {
        let mut entries = self.lock();
        if entries.get(key).is_some_and(|entry| entry.id == id)
            && let Some(entry) = entries.remove(key)
        {
            self.tell(InstanceChange::Stopped(entry.instance));
        }
    }

    /// Waits until nothing is known of this start of `key`.
    pub(crate) async fn gone(&self, key: &InstanceKey, id: &str) {
        let mut changes = self.changes.subscribe();
        while self.lock().get(key).is_some_and(|entry| entry.id == id) {
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
            .map(Entry::instance)
            .filter(|instance| namespace.is_none_or(|wanted| instance.key.namespace == wanted))
            .collect()
    }

    /// Whether it may print more.
    pub(crate) fn is_alive(&self, key: &InstanceKey) -> bool {
        self.lock()
            .get(key)
            .is_some_and(|entry| !matches!(entry.instance.state, State::Exited(_)))
    }

    /// What there is now, and what changes from there on.
    pub(crate) fn watch(&self) -> (Vec<Instance>, broadcast::Receiver<InstanceChange>) {
        let entries = self.lock();
        let present = entries.values().map(Entry::instance);
        (present.collect(), self.changes.subscribe())
    }

    fn tell(&self, change: InstanceChange) {
        // Nobody listening is no failure.
        let _ = self.changes.send(change);
    }
}
