//! The instances of a runtime, and who is told when they change.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{StreamExt as _, stream};
use tokio::sync::{broadcast, watch};

use super::{Exit, Instance, InstanceChange, InstanceKey, Spec, State, StopOptions};
use crate::{BoxStream, Call, Code, Error, Result, clock::unix_millis};

/// How many changes a watcher may be behind before it has to begin again.
const BACKLOG: usize = 1024;

/// One start of an instance: what is told of it, and how its supervisor is told to end it.
#[derive(Debug)]
pub struct Entry {
    /// Names this start among all of its key.
    id: String,
    instance: Instance,
    /// How long it has to run for its restarts to be forgotten.
    healthy: Duration,
    /// Some grace, once somebody ends it.
    stop: watch::Sender<Option<Duration>>,
}

/// How the supervisor of an instance hears that it is to end it.
#[derive(Debug)]
pub struct StopRequest(watch::Receiver<Option<Duration>>);

impl StopRequest {
    /// Waits until somebody ends the instance; the grace that it has. `None` if the instance has been
    /// forgotten, or another start has taken its place.
    pub async fn asked(&mut self) -> Option<Duration> {
        let asked = self.0.wait_for(Option::is_some).await;
        asked.map_or(None, |grace| *grace)
    }

    /// Waits until somebody is in more of a hurry than [`Self::asked`] said; the shorter grace.
    pub async fn sooner(&mut self) -> Duration {
        loop {
            if self.0.changed().await.is_err() {
                // Nobody is left who could be.
                std::future::pending::<()>().await;
            }
            if let Some(grace) = *self.0.borrow_and_update() {
                return grace;
            }
        }
    }

    /// The grace, if somebody ends it already.
    pub fn now(&self) -> Option<Duration> {
        *self.0.borrow()
    }
}

impl Entry {
    /// What `id` names, which is as `instance` says, and whose restarts are forgotten once it has run
    /// for `healthy`.
    pub fn new(
        id: impl Into<String>,
        instance: Instance,
        healthy: Duration,
    ) -> (Self, StopRequest) {
        let (stop, asked) = watch::channel(None);
        let entry = Self {
            id: id.into(),
            instance,
            healthy,
            stop,
        };
        (entry, StopRequest(asked))
    }

    /// What has just been started as `spec` says, for a runtime that starts nothing again.
    pub(super) fn started(id: String, spec: &Spec, pid: Option<u32>) -> (Self, StopRequest) {
        let instance = Instance {
            key: spec.key.clone(),
            state: State::Running,
            pid,
            started_at: unix_millis(),
            run: spec.run.clone(),
            restarts: 0,
        };
        Self::new(id, instance, Duration::ZERO)
    }

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

/// All instances of a runtime, and everybody who watches them: what an implementation of
/// [`Runtime`](super::Runtime) answers from when all starts pass through it. Clones share them.
///
/// Each start has a supervisor, a task of the runtime's, which alone ends what it has started: it
/// waits for [`StopRequest::asked`] and then calls [`Self::remove`]. Every change is told under the
/// lock, so that a watch misses and doubles none. Nobody waits for a watcher: one that is 1,024
/// changes behind is told to watch again.
#[derive(Clone, Debug)]
pub struct Instances {
    entries: Arc<Mutex<BTreeMap<InstanceKey, Entry>>>,
    changes: broadcast::Sender<InstanceChange>,
}

impl Instances {
    /// None yet.
    pub fn new() -> Self {
        Self {
            entries: Arc::default(),
            changes: broadcast::Sender::new(BACKLOG),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<InstanceKey, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails if something of that key runs, waits to run, or is being ended.
    ///
    /// # Errors
    /// `conflict`, saying which.
    pub fn check_vacant(&self, key: &InstanceKey) -> Result<()> {
        check_vacant(&self.lock(), key)
    }

    /// Starts an instance by `start`, unless [`Self::check_vacant`] fails. The lock is held
    /// meanwhile, so that of two calls one starts and the other is refused. Also gives the id of one
    /// that had ended and is forgotten for it.
    ///
    /// # Errors
    /// `conflict`, or what `start` fails with.
    pub fn insert(
        &self,
        key: &InstanceKey,
        start: impl FnOnce() -> Result<Entry>,
    ) -> Result<(Instance, Option<String>)> {
        let mut entries = self.lock();
        check_vacant(&entries, key)?;
        let entry = start()?;
        let instance = entry.instance.clone();
        let before = entries.insert(key.clone(), entry);
        self.tell(InstanceChange::Started(instance.clone()));
        Ok((instance, before.map(|before| before.id)))
    }

    /// Changes an instance, and tells what `change` makes of it; false if there is none of that id
    /// any more, or somebody is ending it: then nothing was changed.
    pub fn change(
        &self,
        key: &InstanceKey,
        id: &str,
        change: impl FnOnce(&mut Instance) -> fn(Instance) -> InstanceChange,
    ) -> bool {
        self.try_change(key, id, |instance| Ok::<_, ()>(change(instance)))
            .is_ok_and(|changed| changed)
    }

    /// As [`Self::change`], where the change may fail; it is made under the lock, so that nobody
    /// begins to end the instance meanwhile.
    ///
    /// # Errors
    /// That of `change`.
    pub fn try_change<E>(
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

    /// It ended by itself and stays so. False as [`Self::change`] says.
    pub(super) fn exited(&self, key: &InstanceKey, id: &str, exit: Exit) -> bool {
        self.change(key, id, |instance| {
            instance.state = State::Exited(exit);
            instance.pid = None;
            InstanceChange::Exited
        })
    }

    /// See [`Runtime::stop`](super::Runtime::stop): asks the supervisor of an instance to end it, and
    /// waits until it has. If somebody did already, the shorter grace counts.
    ///
    /// # Errors
    /// `not_found`; `deadline` if it has not ended by that of the call. It is ended all the same.
    pub async fn stop(&self, call: &Call, key: &InstanceKey, options: &StopOptions) -> Result<()> {
        let grace = Duration::from_millis(options.grace_ms);
        let id = self
            .begin_stop(key, grace)
            .ok_or_else(|| Error::not_found(format!("{key} does not run here")))?;
        let gone = self.gone(key, &id);
        let Some(remaining) = call.remaining() else {
            gone.await;
            return Ok(());
        };
        let ended = tokio::time::timeout(remaining, gone).await;
        ended.map_err(|_| Error::deadline(format!("{key} has not ended yet")))
    }

    /// See [`Runtime::shutdown`](super::Runtime::shutdown): [`Self::stop`] for all that there are,
    /// at once.
    ///
    /// # Errors
    /// One of those of [`Self::stop`].
    pub async fn shutdown(&self, call: &Call, options: &StopOptions) -> Result<()> {
        let keys = self.keys();
        let stops = keys.iter().map(|key| self.stop(call, key, options));
        for stopped in futures::future::join_all(stops).await {
            match stopped {
                // One that somebody else ended meanwhile.
                Err(error) if error.code() == Code::NOT_FOUND => {}
                other => other?,
            }
        }
        Ok(())
    }

    fn begin_stop(&self, key: &InstanceKey, grace: Duration) -> Option<String> {
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
    pub fn remove(&self, key: &InstanceKey, id: &str) {
        let mut entries = self.lock();
        if entries.get(key).is_some_and(|entry| entry.id == id)
            && let Some(entry) = entries.remove(key)
        {
            self.tell(InstanceChange::Stopped(entry.instance));
        }
    }

    /// Waits until nothing is known of this start of `key`.
    async fn gone(&self, key: &InstanceKey, id: &str) {
        let mut changes = self.changes.subscribe();
        while self.lock().get(key).is_some_and(|entry| entry.id == id) {
            // Any news, or having missed some: look again.
            let _ = changes.recv().await;
        }
    }

    /// Of all that there are.
    pub fn keys(&self) -> Vec<InstanceKey> {
        self.lock().keys().cloned().collect()
    }

    /// See [`Runtime::list`](super::Runtime::list).
    pub fn list(&self, namespace: Option<&str>) -> Vec<Instance> {
        self.lock()
            .values()
            .map(Entry::instance)
            .filter(|instance| namespace.is_none_or(|wanted| instance.key.namespace == wanted))
            .collect()
    }

    /// Whether it may print more.
    pub fn is_alive(&self, key: &InstanceKey) -> bool {
        self.lock()
            .get(key)
            .is_some_and(|entry| !matches!(entry.instance.state, State::Exited(_)))
    }

    /// See [`Runtime::watch`](super::Runtime::watch).
    pub fn watch(&self) -> BoxStream<Result<InstanceChange>> {
        let (present, changes) = {
            let entries = self.lock();
            let present: Vec<_> = entries.values().map(Entry::instance).collect();
            (present, self.changes.subscribe())
        };
        let present = present.into_iter().map(InstanceChange::Present);
        let snapshot = stream::iter(present.chain([InstanceChange::Synced]).map(Ok));
        let live = stream::unfold(Some(changes), |changes| async {
            let mut changes = changes?;
            match changes.recv().await {
                Ok(change) => Some((Ok(change), Some(changes))),
                Err(broadcast::error::RecvError::Closed) => None,
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    let text = format!("this watch fell {missed} changes behind; begin it again");
                    Some((Err(Error::unavailable(text)), None))
                }
            }
        });
        snapshot.chain(live).boxed()
    }

    fn tell(&self, change: InstanceChange) {
        // Nobody listening is no failure.
        let _ = self.changes.send(change);
    }
}

fn check_vacant(entries: &BTreeMap<InstanceKey, Entry>, key: &InstanceKey) -> Result<()> {
    let Some(entry) = entries.get(key) else {
        return Ok(());
    };
    let is = match entry.instance.state {
        _ if entry.is_stopping() => "is being stopped",
        State::Running => "runs already",
        State::Exited(_) => return Ok(()),
        State::Waiting(_) => "waits to be started again; stop it first",
    };
    Err(Error::conflict(format!("{key} {is}")))
}

impl Default for Instances {
    fn default() -> Self {
        Self::new()
    }
}
