//! One run of a service, from its source to its end: unpack, build, start, watch, clean up.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures::TryStreamExt;
use micro_access::ServiceAccount;
use micro_builder::{Artifact, BuildOptions};
use micro_plugin_api::{
    BlobHandle, Call, Code,
    blob::BlobKey,
    runtime::{InstanceKey, Spec, StopOptions},
};
use secrecy::ExposeSecret;
use tokio_util::{
    io::{StreamReader, SyncIoBridge},
    sync::CancellationToken,
};

use super::{
    health::Check,
    journal::Journal,
    manager::Inner,
    observe::{self, Output},
    record::{self, Record},
    status::Status,
    unpack::{self, Limits},
};

/// What an archive may unpack to.
const LIMITS: Limits = Limits {
    bytes: 2 * 1024 * 1024 * 1024,
    entries: 100_000,
};

/// What is to be run.
pub(crate) struct Plan {
    pub(crate) key: InstanceKey,
    /// The namespace and key of the blob that holds the source.
    pub(crate) source: (String, String),
    /// A folder below the source's top, or empty.
    pub(crate) entrypoint: PathBuf,
    /// What the user wants to run instead of what was found; empty for that.
    pub(crate) command: Vec<String>,
    /// Further arguments.
    pub(crate) arguments: Vec<String>,
    /// What the user wants in the environment.
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) start_timeout: Duration,
}

/// A run as the manager knows it. Clones share it.
#[derive(Clone)]
pub(crate) struct Run {
    /// Unique among all runs.
    pub(crate) id: String,
    pub(crate) journal: Arc<Journal>,
    /// Ends it.
    pub(crate) cancel: CancellationToken,
    /// Cancelled when it has ended and cleaned up.
    pub(crate) done: CancellationToken,
}

impl Run {
    pub(crate) fn new(id: String) -> Self {
        Self {
            id,
            journal: Arc::new(Journal::new()),
            cancel: CancellationToken::new(),
            done: CancellationToken::new(),
        }
    }

    /// Ends it, and waits until nothing of it is left.
    pub(crate) async fn end(&self) {
        self.cancel.cancel();
        self.done.cancelled().await;
    }
}

/// Why a run is over.
enum End {
    /// Somebody ended it, and sees to its record.
    Cancelled,
    Failed {
        reason: String,
        output: Vec<String>,
    },
}

fn failed(reason: impl Into<String>) -> End {
    End::Failed {
        reason: reason.into(),
        output: Vec::new(),
    }
}

/// What is held while a process runs.
struct Process {
    /// The nodes that were registered before it started.
    before: BTreeSet<String>,
    artifact: Artifact,
    env: BTreeMap<String, String>,
}

/// Runs `plan` to its end. `previous` is the run that it replaces, which goes on until this one is
/// built.
pub(crate) async fn run(inner: Arc<Inner>, plan: Plan, this: Run, previous: Option<Run>) {
    let _done = this.done.clone().drop_guard();
    let folder = inner.folder_of(&plan.key).join(&this.id);
    let task = Task {
        call: Call::new(&plan.key.namespace),
        folder,
        inner,
        plan,
        this,
    };
    let built = tokio::select! {
        biased;
        () = task.this.cancel.cancelled() => Err(End::Cancelled),
        built = task.build() => built,
    };
    // Even if this one could not be built: its record says so, and the old one has none any more.
    if let Some(previous) = previous {
        previous.end().await;
    }
    let end = match built {
        Ok(artifact) => task.live(artifact).await,
        Err(end) => end,
    };
    if let Err(error) = remove(&task.folder).await {
        tracing::warn!(service = %task.plan.key, %error, "cannot remove the files of a run");
    }
    if let End::Failed { reason, output } = end {
        tracing::info!(service = %task.plan.key, %reason, "a service failed");
        task.status(Status::Error, &reason, output).await;
    }
}

struct Task {
    inner: Arc<Inner>,
    plan: Plan,
    this: Run,
    /// The files of this run alone.
    folder: PathBuf,
    call: Call,
}

impl Task {
    /// Tells a change of status to the record and to watchers, in this order: who has seen it may
    /// read it.
    async fn status(&self, status: Status, error: &str, output: Vec<String>) {
        let change = |record: &mut Record| {
            record.status = status;
            record.error = error.to_owned();
        };
        let (modules, key) = (&self.inner.modules, &self.plan.key);
        match record::update(modules, &self.call, key, &self.this.id, change).await {
            Ok(true) => {}
            // Deleted or replaced: whoever did that ends this run too.
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(service = %key, %error, "cannot record the status of a service");
            }
        }
        self.this.journal.status(status, error, output);
    }

    async fn build(&self) -> Result<Artifact, End> {
        self.status(Status::Building, "", Vec::new()).await;
        let top = self.folder.join("source");
        let unpacked = unpack_blob(
            self.inner.modules.blob(),
            &self.call,
            &self.plan.source,
            &top,
        );
        unpacked.await.map_err(failed)?;
        let source = top.join(&self.plan.entrypoint);
        if !source.is_dir() {
            let entrypoint = self.plan.entrypoint.display();
            return Err(failed(format!("the source has no folder {entrypoint}")));
        }
        let key = &self.plan.key;
        let config = &self.inner.config;
        let options = BuildOptions {
            name: key.name.clone(),
            identity: format!("{}/{}/{}", key.namespace, key.name, key.version),
            cache_dir: config.build_cache.clone(),
            output_dir: self.folder.join("bin"),
            sdk_dir: config.sdk_dir.clone(),
            toolchain: config.toolchain.clone(),
            timeout: config.build_timeout,
        };
        micro_builder::build(&source, &options, &*self.this.journal)
            .await
            // The compiler's words are in the journal already.
            .map_err(|error| failed(error.to_string()))
    }

    /// From the start of the process to its end. Nothing of it is left when this returns.
    async fn live(&self, artifact: Artifact) -> End {
        self.status(Status::Starting, "", Vec::new()).await;
        let (process, mut output) = match self.prepare(artifact).await {
            Ok(prepared) => prepared,
            Err(reason) => {
                self.revoke().await;
                return failed(reason);
            }
        };
        let mut end = match self.start(&process).await {
            Ok(()) => self.watch_over(&process, &mut output).await,
            Err(reason) => failed(reason),
        };
        self.stop(&process.before).await;
        if let End::Failed { output: lines, .. } = &mut end {
            let modules = &self.inner.modules;
            *lines = output.take(modules, &self.call, &self.plan.key).await;
        }
        end
    }

    async fn prepare(&self, artifact: Artifact) -> Result<(Process, Output), String> {
        let key = &self.plan.key;
        let modules = &self.inner.modules;
        let accounts = self.inner.access.accounts();
        let account = accounts.create_service_account(&key.namespace, &key.name, &key.version);
        let account = account
            .await
            .map_err(|error| format!("it got no account: {error}"))?;
        let before = observe::nodes(modules, &self.call, key).await;
        let before = before.map_err(|error| format!("the registry cannot be read: {error}"))?;
        let process = Process {
            before: before.into_iter().map(|node| node.id).collect(),
            artifact,
            env: self.environment(&account),
        };
        let output = Output::open(modules, &self.call, key).await;
        Ok((process, output))
    }

    /// The whole environment of the service.
    fn environment(&self, account: &ServiceAccount) -> BTreeMap<String, String> {
        let key = &self.plan.key;
        let config = &self.inner.config;
        let own = [
            ("MICRO_PROFILE", "service".to_owned()),
            ("MICRO_SERVICE_NAME", key.name.clone()),
            ("MICRO_SERVICE_VERSION", key.version.clone()),
            ("MICRO_SERVICE_ADDRESS", "127.0.0.1:0".to_owned()),
            ("MICRO_PROXY", config.network_address.clone()),
            ("MICRO_NAMESPACE", key.namespace.clone()),
            ("MICRO_AUTH_ID", account.id.clone()),
            (
                "MICRO_AUTH_SECRET",
                account.secret.expose_secret().to_owned(),
            ),
        ];
        let mut env: BTreeMap<_, _> = own.map(|(name, value)| (name.to_owned(), value)).into();
        if let Some(path) = config.toolchain.variables().get("PATH") {
            env.insert("PATH".to_owned(), path.clone());
        }
        env.extend(self.plan.env.clone());
        env
    }

    /// Not to be cancelled half way: a start whose caller is gone could still come about.
    async fn start(&self, process: &Process) -> Result<(), String> {
        let command = if self.plan.command.is_empty() {
            &process.artifact.command
        } else {
            &self.plan.command
        };
        let spec = Spec {
            key: self.plan.key.clone(),
            command: command
                .iter()
                .chain(&self.plan.arguments)
                .cloned()
                .collect(),
            folder: process.artifact.folder.clone(),
            env: process.env.clone(),
            ..Spec::default()
        };
        let started = self.inner.modules.runtime().start(&self.call, &spec).await;
        started
            .map(drop)
            .map_err(|error| error.message().to_owned())
    }

    /// Waits until the service is ready, says so, and waits until it ends.
    async fn watch_over(&self, process: &Process, output: &mut Output) -> End {
        let modules = &self.inner.modules;
        let key = &self.plan.key;
        let exited = observe::exited(modules, &self.call, key);
        tokio::pin!(exited);
        let mut problem = "it did not register".to_owned();
        let check = match &process.artifact.health {
            Some(words) => Check::Command {
                words,
                folder: &process.artifact.folder,
                env: &process.env,
            },
            None => Check::Call,
        };
        let timeout = self.plan.start_timeout;
        let ready = async {
            let ready = observe::ready(
                modules,
                &self.call,
                key,
                &process.before,
                &mut problem,
                &check,
            );
            tokio::time::timeout(timeout, ready).await.is_ok()
        };
        let is_ready = tokio::select! {
            biased;
            () = self.this.cancel.cancelled() => return End::Cancelled,
            how = &mut exited => return failed(how),
            is_ready = ready => is_ready,
        };
        if !is_ready {
            let seconds = timeout.as_secs_f64();
            return failed(format!("not ready within {seconds} s: {problem}"));
        }
        *output = Output::of_the_log();
        self.status(Status::Running, "", Vec::new()).await;
        tokio::select! {
            biased;
            () = self.this.cancel.cancelled() => End::Cancelled,
            how = exited => failed(how),
        }
    }

    /// Ends the process, and takes away what it had: nodes and account.
    async fn stop(&self, before: &BTreeSet<String>) {
        let (modules, key) = (&self.inner.modules, &self.plan.key);
        let options = StopOptions {
            grace_ms: self.inner.config.stop_grace.as_millis() as u64,
        };
        match modules.runtime().stop(&self.call, key, &options).await {
            Err(error) if error.code() != Code::NOT_FOUND => {
                tracing::error!(service = %key, %error, "cannot stop a service");
            }
            _ => {}
        }
        if let Err(error) = observe::deregister(modules, &self.call, key, before).await {
            tracing::warn!(service = %key, %error, "cannot deregister a service");
        }
        self.revoke().await;
    }

    async fn revoke(&self) {
        let key = &self.plan.key;
        let accounts = self.inner.access.accounts();
        let revoked = accounts.revoke_service_account(&key.namespace, &key.name, &key.version);
        if let Err(error) = revoked.await {
            tracing::error!(service = %key, %error, "cannot revoke the account of a service");
        }
    }
}

/// Unpacks the archive in a blob into `folder`, which is made for it.
async fn unpack_blob(
    blobs: BlobHandle,
    call: &Call,
    (namespace, key): &(String, String),
    folder: &Path,
) -> Result<(), String> {
    let read = blobs.read(call, BlobKey::new(namespace, key)).await;
    let (_, bytes) = read.map_err(|error| format!("the source cannot be read: {error}"))?;
    let archive = StreamReader::new(bytes.map_err(std::io::Error::other));
    let folder = folder.to_owned();
    let unpacked = tokio::task::spawn_blocking(move || {
        use std::os::unix::fs::DirBuilderExt;
        let made = std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder);
        made.map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
        unpack::unpack(SyncIoBridge::new(archive), &folder, LIMITS)
            .map_err(|error| error.to_string())
    });
    unpacked
        .await
        .map_err(|error| format!("unpacking the source failed: {error}"))?
}

async fn remove(folder: &Path) -> std::io::Result<()> {
    match tokio::fs::remove_dir_all(folder).await {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
