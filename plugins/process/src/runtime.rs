//! The runtime itself: services as processes of this machine.

use std::{
    fs, io,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures::{StreamExt, stream};
use micro_plugin_api::{
    BoxStream, Call, Error, Host, Result, Runtime,
    runtime::{
        Exit, Instance, InstanceChange, InstanceKey, LogLine, LogOptions, Spec, State, StopOptions,
    },
};
use nix::sys::signal::Signal;
use tokio::{
    process::{Child, Command},
    sync::{broadcast, watch},
    time::Instant,
};

use crate::{
    follow,
    group::Group,
    logs, program,
    settings::Settings,
    table::{Entry, Table},
};

/// Runs each service as the leader of a process group of its own, with its output in a file.
pub struct ProcessRuntime {
    settings: Settings,
    logs_dir: PathBuf,
    table: Table,
}

impl ProcessRuntime {
    /// A runtime that keeps the output of services below the host's folder of logs. Must be called
    /// within a tokio runtime, which then watches over the processes.
    pub async fn open(settings: Settings, host: Host) -> Result<Self> {
        Ok(Self {
            settings,
            logs_dir: host.logs_dir().to_owned(),
            table: Table::new(),
        })
    }

    /// Executes the program of `spec`. The caller holds the table's lock: this never waits.
    fn spawn(&self, spec: &Spec) -> Result<Entry> {
        let (name, arguments) = spec
            .command
            .split_first()
            .ok_or_else(|| Error::invalid(format!("there is no command to run {}", spec.key)))?;
        if !fs::metadata(&spec.folder).is_ok_and(|meta| meta.is_dir()) {
            let folder = spec.folder.display();
            return Err(Error::invalid(format!(
                "the folder {folder} of {} does not exist",
                spec.key
            )));
        }
        let program = program::resolve(name, &spec.folder, &spec.env)?;
        let (output, errors) = self.open_log(&spec.key).map_err(|error| {
            Error::unavailable(format!("cannot open the log of {}: {error}", spec.key))
        })?;
        let child = Command::new(program)
            .args(arguments)
            .current_dir(&spec.folder)
            .env_clear()
            .envs(&spec.env)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .map_err(|error| program::spawn_error(name, &error))?;
        let pid = child.id().ok_or_else(|| {
            Error::internal(format!("{} ended before it could be watched", spec.key))
        })?;
        let instance = Instance {
            key: spec.key.clone(),
            state: State::Running,
            pid: Some(pid),
            started_at: unix_millis(),
            run: spec.run.clone(),
            restarts: 0,
        };
        let (tell_end, ended) = watch::channel(false);
        tokio::spawn(supervise(
            self.table.clone(),
            spec.key.clone(),
            child,
            Group(pid),
            tell_end,
        ));
        Ok(Entry {
            instance,
            group: Group(pid),
            stopping: false,
            ended,
        })
    }

    fn open_log(&self, key: &InstanceKey) -> io::Result<(fs::File, fs::File)> {
        let file = logs::open(&logs::path(&self.logs_dir, key))?;
        Ok((file.try_clone()?, file))
    }
}

/// Waits for the end of a process and notes it.
async fn supervise(
    table: Table,
    key: InstanceKey,
    mut child: Child,
    group: Group,
    tell_end: watch::Sender<bool>,
) {
    let state = match child.wait().await {
        Ok(status) => State::Exited(exit(status)),
        Err(error) => {
            tracing::error!(service = %key, %error, "cannot wait for a process");
            State::Exited(Exit::default())
        }
    };
    table.exited(&key, group, state);
    // Nobody waiting is no failure.
    let _ = tell_end.send(true);
}

fn exit(status: ExitStatus) -> Exit {
    use std::os::unix::process::ExitStatusExt;
    Exit {
        code: status.code(),
        signal: status.signal(),
        message: None,
    }
}

/// Ends an instance whole: politely within `grace`, then by force; then forgets it.
async fn end(table: Table, entry: Entry, grace: Duration) {
    let key = &entry.instance.key;
    let mut ended = entry.ended.clone();
    let deadline = Instant::now() + grace;
    if entry.instance.state == State::Running {
        entry.group.signal(Signal::SIGTERM);
        let leader = tokio::time::timeout_at(deadline, ended.wait_for(|ended| *ended));
        let leader_ended = leader.await.is_ok();
        if !leader_ended || !entry.group.ended_by(deadline).await {
            tracing::warn!(service = %key, ?grace, "did not end in time and is killed");
            entry.group.signal(Signal::SIGKILL);
        }
        // A closed channel says the same: its sender lives as long as the process.
        let _ = ended.wait_for(|ended| *ended).await;
    }
    table.remove(key);
}

impl Runtime for ProcessRuntime {
    async fn start(&self, _call: &Call, spec: &Spec) -> Result<Instance> {
        self.table.insert(&spec.key, || self.spawn(spec))
    }

    async fn stop(&self, call: &Call, key: &InstanceKey, options: &StopOptions) -> Result<()> {
        let unknown = || Error::not_found(format!("{key} does not run here"));
        let entry = self.table.begin_stop(key).ok_or_else(unknown)?;
        let grace = Duration::from_millis(options.grace_ms);
        let stopped = if entry.stopping {
            // Somebody else ends it; this call only waits for that.
            let table = self.table.clone();
            let key = key.clone();
            tokio::spawn(async move { table.gone(&key).await })
        } else {
            // A task of its own: what was begun is finished even if the caller goes away.
            tokio::spawn(end(self.table.clone(), entry, grace))
        };
        let joined = match call.remaining() {
            Some(remaining) => tokio::time::timeout(remaining, stopped)
                .await
                .map_err(|_| Error::deadline(format!("{key} has not ended yet")))?,
            None => stopped.await,
        };
        joined.map_err(|error| Error::internal(format!("stopping {key} failed: {error}")))
    }

    async fn list(&self, _call: &Call, namespace: Option<&str>) -> Result<Vec<Instance>> {
        Ok(self.table.list(namespace))
    }

    async fn logs(
        &self,
        _call: &Call,
        key: &InstanceKey,
        options: &LogOptions,
    ) -> Result<BoxStream<Result<LogLine>>> {
        let path = logs::path(&self.logs_dir, key);
        let tail = options.tail;
        let reader = blocking(move || logs::Reader::open(&path, tail)).await;
        let reader = reader.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::not_found(format!("there are no logs of {key}")),
            _ => Error::unavailable(format!("cannot read the logs of {key}: {error}")),
        })?;
        let table = self.table.clone();
        let key = key.clone();
        let poll = options.follow.then(|| self.settings.log_poll());
        Ok(follow::lines(reader, poll, move || table.is_running(&key)))
    }

    async fn watch(&self, _call: &Call) -> Result<BoxStream<Result<InstanceChange>>> {
        let (present, changes) = self.table.watch();
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
        Ok(snapshot.chain(live).boxed())
    }

    async fn health(&self, _call: &Call) -> Result<()> {
        let folder = self.logs_dir.clone();
        let created = blocking(move || logs::create_folder(&folder)).await;
        created.map_err(|error| {
            let folder = self.logs_dir.display();
            Error::unavailable(format!(
                "cannot create the folder of logs {folder}: {error}"
            ))
        })
    }

    async fn shutdown(&self, call: &Call) -> Result<()> {
        let options = StopOptions {
            grace_ms: self.settings.shutdown_grace_ms,
        };
        let keys = self.table.keys();
        let stops = keys.iter().map(|key| self.stop(call, key, &options));
        for stopped in futures::future::join_all(stops).await {
            match stopped {
                // One that somebody else ended meanwhile.
                Err(error) if error.code() == micro_plugin_api::Code::NOT_FOUND => {}
                other => other?,
            }
        }
        Ok(())
    }
}

/// Runs what touches the file system where it may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}

fn unix_millis() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_millis() as u64)
}
