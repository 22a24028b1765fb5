//! The runtime itself: services as processes of this machine.

use std::{
    fs, io,
    process::Stdio,
    sync::{Arc, Weak},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use micro_plugin_api::{
    BoxStream, Call, Error, Host, Result, Runtime,
    runtime::{
        Entry, Instance, InstanceChange, InstanceKey, Instances, LogLine, LogOptions, Spec, State,
        StopOptions,
    },
};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::process::Command;
use uuid::Uuid;

use crate::{
    adopt, follow,
    logs::{self, Logs, Reader},
    notes::{Note, Notes},
    procfs::{self, Process},
    program,
    settings::Settings,
    supervise::{Leader, Supervisor},
    tree::MARK,
};

/// Runs each service as the leader of a process group of its own, with its output in a file.
pub struct ProcessRuntime {
    settings: Settings,
    shared: Arc<Shared>,
}

/// What the tasks of all instances work with.
pub(crate) struct Shared {
    pub(crate) table: Instances,
    pub(crate) notes: Notes,
    pub(crate) logs: Logs,
    /// This boot of the system.
    pub(crate) boot: String,
}

impl ProcessRuntime {
    /// A runtime that keeps the output of services below the host's folder of logs, and notes of
    /// them below its folder of state. It takes over what an earlier one over the same folders left
    /// running, and ends what it has no note of. Must be called within a tokio runtime, which then
    /// watches over the processes.
    ///
    /// # Errors
    /// `unavailable` if the folder of state cannot be read or written.
    pub async fn open(settings: Settings, host: Host) -> Result<Self> {
        let state_dir = host.state_dir().to_owned();
        let failed = |error| {
            let folder = host.state_dir().display();
            Error::unavailable(format!(
                "cannot keep notes of services in {folder}: {error}"
            ))
        };
        let notes = blocking(move || Notes::open(&state_dir)).await;
        let shared = Arc::new(Shared {
            table: Instances::new(),
            notes: notes.map_err(failed)?,
            logs: Logs::new(host.logs_dir(), settings.rotation()),
            boot: procfs::boot(),
        });
        adopt::adopt(&shared).await.map_err(failed)?;
        tokio::spawn(tend_logs(Arc::downgrade(&shared), settings.log_poll()));
        Ok(Self { settings, shared })
    }
}

impl Shared {
    /// Executes the program of `note`, and notes it. The caller holds the table's lock: this never
    /// waits.
    pub(crate) fn spawn(&self, note: &mut Note) -> Result<Leader> {
        let spec = &note.spec;
        let (name, arguments) = spec
            .command
            .split_first()
            .ok_or_else(|| Error::invalid(format!("there is no command to run {}", spec.key)))?;
        if !logs::fits(&spec.key) {
            return Err(Error::invalid(format!(
                "the names of {} are too long for the file of its log",
                spec.key
            )));
        }
        if !fs::metadata(&spec.folder).is_ok_and(|meta| meta.is_dir()) {
            let folder = spec.folder.display();
            return Err(Error::invalid(format!(
                "the folder {folder} of {} does not exist",
                spec.key
            )));
        }
        if let Some(name) = program::bad_variable(&spec.env) {
            return Err(Error::invalid(format!(
                "the environment of {} has a variable {name:?} whose name is empty or has a `=`, or that holds a NUL",
                spec.key
            )));
        }
        let program = program::resolve(name, &spec.folder, &spec.env)?;
        let key = &spec.key;
        let log = |error| Error::unavailable(format!("cannot open the log of {key}: {error}"));
        let output = self.logs.file(key).map_err(log)?;
        let errors = output.try_clone().map_err(log)?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(&spec.folder)
            .env_clear()
            .envs(&spec.env)
            .env(MARK, self.notes.mark(&note.id))
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0);
        let (name, key) = (name.clone(), spec.key.clone());
        let noting =
            |error| Error::unavailable(format!("cannot note that {key} is started: {error}"));
        // Before there is a process: one that nobody knows of is worse than a note of none.
        note.leader = None;
        note.state = State::Running;
        note.started_at = unix_millis();
        self.notes.write(note).map_err(noting)?;
        let child = command
            .spawn()
            .map_err(|error| program::spawn_error(&name, &error))?;
        // Nobody has collected it yet, so it is there, be it as a zombie.
        let leader = child.id().and_then(Process::read_any);
        let leader = leader.ok_or_else(|| {
            Error::unavailable(format!("{key} cannot be found in /proc; is that mounted?"))
        });
        let noted = leader.and_then(|leader| {
            note.leader = Some(leader.identity);
            self.notes.write(note).map_err(noting)?;
            Ok(leader.identity)
        });
        match (noted, child.id()) {
            (Ok(identity), _) => Ok(Leader::Child(child, identity)),
            (Err(error), pid) => {
                if let Some(pid) = pid {
                    let _ = killpg(Pid::from_raw(pid as i32), Signal::SIGKILL);
                }
                Err(error)
            }
        }
    }

    /// Starts what was never started before.
    fn start(self: &Arc<Self>, spec: &Spec) -> Result<Entry> {
        let mut note = Note {
            id: Uuid::new_v4().to_string(),
            spec: spec.clone(),
            boot: self.boot.clone(),
            ..Note::default()
        };
        match self.spawn(&mut note) {
            Ok(leader) => Ok(self.supervise(note, Some(leader))),
            Err(error) => {
                self.notes.remove(&note.id);
                Err(error)
            }
        }
    }

    /// Begins to watch over an instance.
    pub(crate) fn supervise(self: &Arc<Self>, note: Note, leader: Option<Leader>) -> Entry {
        let instance = Instance {
            key: note.spec.key.clone(),
            state: note.state.clone(),
            pid: leader.as_ref().map(|leader| leader.identity().pid),
            started_at: note.started_at,
            run: note.spec.run.clone(),
            restarts: note.deaths,
        };
        let healthy = Duration::from_millis(note.spec.restart.healthy_ms);
        let (entry, stop) = Entry::new(&note.id, instance, healthy);
        let supervisor = Supervisor {
            shared: self.clone(),
            note,
            leader,
            stop,
        };
        tokio::spawn(supervisor.run());
        entry
    }
}

/// Looks after logs for as long as somebody needs them.
async fn tend_logs(shared: Weak<Shared>, pause: Duration) {
    loop {
        tokio::time::sleep(pause).await;
        let Some(shared) = shared.upgrade() else {
            return;
        };
        let tended = blocking(move || {
            shared.logs.tend(&shared.table.keys());
            Ok(())
        });
        if let Err(error) = tended.await {
            tracing::error!(%error, "looking after logs failed");
        }
    }
}

impl Runtime for ProcessRuntime {
    async fn start(&self, _call: &Call, spec: &Spec) -> Result<Instance> {
        let shared = &self.shared;
        let (instance, replaced) = shared.table.insert(&spec.key, || shared.start(spec))?;
        if let Some(replaced) = replaced {
            shared.notes.remove(&replaced);
        }
        Ok(instance)
    }

    async fn stop(&self, call: &Call, key: &InstanceKey, options: &StopOptions) -> Result<()> {
        self.shared.table.stop(call, key, options).await
    }

    async fn list(&self, _call: &Call, namespace: Option<&str>) -> Result<Vec<Instance>> {
        Ok(self.shared.table.list(namespace))
    }

    async fn logs(
        &self,
        _call: &Call,
        key: &InstanceKey,
        options: &LogOptions,
    ) -> Result<BoxStream<Result<LogLine>>> {
        let logs = self.shared.logs.clone();
        let (wanted, options) = (key.clone(), options.clone());
        let follow = options.follow;
        let reader = blocking(move || {
            let log = logs.get(&wanted)?;
            Reader::open(log, options.tail, options.since, options.follow)
        });
        let reader = reader.await.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::not_found(format!("there are no logs of {key}")),
            _ => Error::unavailable(format!("cannot read the logs of {key}: {error}")),
        })?;
        let table = self.shared.table.clone();
        let key = key.clone();
        let poll = follow.then(|| self.settings.log_poll());
        Ok(follow::lines(reader, poll, move || table.is_alive(&key)))
    }

    async fn watch(&self, _call: &Call) -> Result<BoxStream<Result<InstanceChange>>> {
        Ok(self.shared.table.watch())
    }

    async fn health(&self, _call: &Call) -> Result<()> {
        let folder = self.shared.logs.folder().to_owned();
        let created = blocking(move || logs::create_folder(&folder)).await;
        created.map_err(|error| {
            let folder = self.shared.logs.folder().display();
            Error::unavailable(format!(
                "cannot create the folder of logs {folder}: {error}"
            ))
        })
    }

    async fn shutdown(&self, call: &Call) -> Result<()> {
        let options = StopOptions {
            grace_ms: self.settings.shutdown_grace_ms,
        };
        self.shared.table.shutdown(call, &options).await
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

/// Milliseconds since the Unix epoch.
pub(crate) fn unix_millis() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_millis() as u64)
}
