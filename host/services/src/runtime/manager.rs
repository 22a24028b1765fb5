//! The runs of all services of this server: beginning them, ending them, and the truth about them.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use micro_access::Access;
use micro_modules::Modules;
use micro_plugin_api::{Call, Code, Error, Result, blob::BlobKey, runtime::InstanceKey};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    RuntimeConfig,
    journal::Journal,
    keeper::Keeping,
    observe,
    plan::Plan,
    record::{self, Record},
    run::{Begin, Run, Task},
    status::Status,
    wish::Wish,
};

const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// Runs the services of this server. Clones share everything.
#[derive(Clone)]
pub struct Manager(pub(super) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) modules: Arc<Modules>,
    pub(crate) access: Access,
    pub(crate) config: RuntimeConfig,
    /// Where runs live: a call's own runtime may be a door's single thread.
    pub(crate) background: Handle,
    runs: Mutex<HashMap<InstanceKey, Run>>,
    /// Builds of what shall take the place of what runs.
    updates: Mutex<HashMap<InstanceKey, Run>>,
    closing: AtomicBool,
    /// Cancelled when the services of before are known.
    pub(super) restored: CancellationToken,
    /// What keeps this server's lease, where others share its store.
    pub(super) keeping: Keeping,
}

impl Inner {
    /// The folder of a service's runs.
    pub(crate) fn folder_of(&self, key: &InstanceKey) -> PathBuf {
        let mut folder = self.config.services_dir.clone();
        for part in [&key.namespace, &key.name, &key.version] {
            folder.push(utf8_percent_encode(part, KEPT).to_string());
        }
        folder
    }

    pub(super) fn runs(&self) -> MutexGuard<'_, HashMap<InstanceKey, Run>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn updates(&self) -> MutexGuard<'_, HashMap<InstanceKey, Run>> {
        self.updates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The runs that there are now.
    pub(super) fn snapshot(&self) -> Vec<(InstanceKey, Run)> {
        let runs = self.runs();
        let all = runs.iter();
        all.map(|(key, run)| (key.clone(), run.clone())).collect()
    }

    /// Whether the server stops, and with it all services.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Waits until the services of before are known, and refuses if the server stops.
    pub(super) async fn admit(&self) -> Result<()> {
        self.restored.cancelled().await;
        if self.is_closing() {
            return Err(Error::unavailable("the server is stopping"));
        }
        self.keeping.admit()
    }

    /// Gives up an update that is being built.
    pub(super) async fn end_update(&self, key: &InstanceKey) {
        let update = self.updates().remove(key);
        if let Some(update) = update {
            update.end().await;
        }
    }
}

impl Manager {
    /// A manager over `modules` whose services live on the runtime `background`. Until
    /// [`Manager::restore`] has been called, requests wait.
    pub fn new(
        modules: Arc<Modules>,
        access: Access,
        config: RuntimeConfig,
        background: Handle,
    ) -> Self {
        Self(Arc::new(Inner {
            modules,
            access,
            config,
            background,
            runs: Mutex::default(),
            updates: Mutex::default(),
            closing: AtomicBool::new(false),
            restored: CancellationToken::new(),
            keeping: Keeping::default(),
        }))
    }

    pub(crate) fn modules(&self) -> &Modules {
        &self.0.modules
    }

    pub(crate) fn config(&self) -> &RuntimeConfig {
        &self.0.config
    }

    /// The events of the present run of a service, or of what shall take its place.
    pub(crate) fn journal(&self, key: &InstanceKey) -> Option<Arc<Journal>> {
        if let Some(update) = self.0.updates().get(key)
            && !update.journal.is_closed()
        {
            return Some(update.journal.clone());
        }
        self.0.runs().get(key).map(|run| run.journal.clone())
    }

    /// Begins a run and answers when its record is written. One that failed before is replaced;
    /// one that did not only by `force`, else it is a `conflict`.
    pub(crate) async fn create(&self, call: &Call, mut record: Record, force: bool) -> Result<()> {
        self.0.admit().await?;
        let key = record.key.clone();
        for _ in 0..record::ATTEMPTS {
            let found = record::read(&self.0.modules, call, &key).await?;
            if let Some((found, _)) = &found
                && !force
                && !found.status.is_final()
            {
                return Err(Error::conflict(format!(
                    "{}@{} is {} already; kill it first, or run it again with --force",
                    key.name,
                    key.version,
                    found.status.word()
                )));
            }
            let this = Run::new(Uuid::now_v7().to_string());
            record.run = this.id.clone();
            record.status = Status::Pending;
            record.metadata.insert("started".to_owned(), now());
            let over = found.as_ref().map(|(_, version)| *version);
            let is_elsewhere = match &found {
                Some((found, _)) if !found.status.is_final() => {
                    self.owner(call, found).await?.is_some()
                }
                _ => false,
            };
            let written = if let Some((found, _)) = found.filter(|_| is_elsewhere) {
                // What runs there goes on until this is built.
                record.server = found.server;
                record.wish = Some(Wish::Begin);
                record::write_and_ring(&self.0.modules, call, &record, over).await
            } else {
                self.0.end_update(&key).await;
                record.server.clone_from(&self.0.config.server);
                record.wish = None;
                record::write(&self.0.modules, call, &record, over).await
            };
            match written {
                // Somebody else was quicker, perhaps at another server: what is there now decides.
                Err(error) if error.code() == Code::CONFLICT => {}
                Err(error) => return Err(error),
                Ok(()) if is_elsewhere => return Ok(()),
                Ok(()) => {
                    self.begin(key, record.plan, this);
                    return Ok(());
                }
            }
        }
        Err(record::changing(&key))
    }

    /// Begins a run whose record is written, in place of the one that there is.
    pub(super) fn begin(&self, key: InstanceKey, plan: Plan, this: Run) {
        this.journal.status(Status::Pending, "", Vec::new());
        let previous = self.0.runs().insert(key.clone(), this.clone());
        if let Some(previous) = &previous {
            previous.journal.close();
            let last = previous.journal.last().status;
            if last != Status::Running.number() {
                // It serves nobody, and its build would only hold up this one.
                previous.cancel.cancel();
            }
        }
        let task = Task::new(self.0.clone(), key, plan, this);
        self.0.background.spawn(task.run(Begin::New(previous)));
    }

    /// Ends a service and forgets it: its process, nodes, account, record and source. False if
    /// there is none. What was begun is finished even if the caller goes away.
    pub(crate) async fn delete(&self, call: &Call, key: &InstanceKey) -> Result<bool> {
        self.0.admit().await?;
        if self.owner_of(call, key).await?.is_some() {
            let is_there = self.ask(call, key, Wish::Delete).await?;
            if is_there {
                self.wait_gone(call, key).await?;
            }
            return Ok(is_there);
        }
        let manager = self.clone();
        let (call, key) = (call.clone(), key.clone());
        let task = async move { manager.delete_now(&call, &key).await };
        self.0
            .background
            .spawn(task)
            .await
            .map_err(|error| Error::internal(format!("deleting failed: {error}")))?
    }

    pub(super) async fn delete_now(&self, call: &Call, key: &InstanceKey) -> Result<bool> {
        let modules = &self.0.modules;
        let Some((record, _)) = record::read(modules, call, key).await? else {
            return Ok(false);
        };
        self.0.end_update(key).await;
        let stopping = |record: &mut Record| record.status = Status::Stopping;
        record::update(modules, call, key, &record.run, stopping).await?;
        for blob in ["source", "build"] {
            let blob = format!("{blob}://{}:{}", key.name, key.version);
            modules
                .blob()
                .delete(call, BlobKey::new(&key.namespace, &blob))
                .await?;
        }
        let run = self
            .0
            .runs()
            .get(key)
            .filter(|run| run.id == record.run)
            .cloned();
        if let Some(run) = run {
            run.journal.status(Status::Stopping, "", Vec::new());
            run.end().await;
            // Not if somebody has begun another one meanwhile.
            if record::delete(modules, call, key, &record.run).await? {
                self.0.runs().remove(key);
            }
            run.journal.status(Status::Stopped, "", Vec::new());
            run.journal.close();
        } else {
            // Whoever ran it is gone, and could not take these away.
            let accounts = self.0.access.accounts();
            let revoked = accounts.revoke_service_account(&key.namespace, &key.name, &key.version);
            if let Err(error) = revoked.await {
                tracing::error!(service = %key, %error, "cannot revoke the account of a service");
            }
            observe::deregister_all(modules, call, &record.registered).await;
            record::delete(modules, call, key, &record.run).await?;
        }
        Ok(true)
    }

    /// Deletes a service that somebody asked another server to, or another one had begun to.
    pub(super) fn delete_in_background(&self, key: InstanceKey) {
        let manager = self.clone();
        self.0.background.spawn(async move {
            let call = Call::new(&key.namespace);
            if let Err(error) = manager.delete_now(&call, &key).await {
                tracing::error!(service = %key, %error, "cannot delete a service");
            }
        });
    }

    /// Ends every service, and answers when none of them is left; nothing can be begun from now on.
    pub async fn shutdown(&self) {
        self.0.closing.store(true, Ordering::Release);
        self.0.restored.cancel();
        let updates: Vec<_> = self.0.updates().drain().collect();
        for (_, update) in updates {
            update.end().await;
        }
        let runs: Vec<_> = self.0.runs().drain().collect();
        for (_, run) in &runs {
            run.cancel.cancel();
        }
        for (key, run) in &runs {
            run.done.cancelled().await;
            let call = Call::new(&key.namespace);
            let stopped = |record: &mut Record| {
                if !record.is_over {
                    record.status = Status::Stopped;
                    record.error = String::new();
                    record.retry_at = None;
                }
            };
            let updated = record::update(&self.0.modules, &call, key, &run.id, stopped).await;
            if let Err(error) = updated {
                tracing::warn!(service = %key, %error, "cannot record that a service stopped");
            }
            run.journal.close();
        }
        // From here on others may begin what ran here.
        self.0.keeping.end().await;
    }
}

/// Now, as records have it.
pub(super) fn now() -> String {
    let now = OffsetDateTime::now_utc();
    let now = now.replace_nanosecond(0).unwrap_or(now);
    now.format(&Rfc3339).unwrap_or_default()
}
