//! A runtime out of what starts and ends programs: it keeps track of them, and answers for them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::Mutex;

use super::{
    Entry, Exit, Instance, InstanceChange, InstanceKey, Instances, LogLine, LogOptions, Runtime,
    Spec, StopOptions, StopRequest,
};
use crate::{BoxStream, Call, Result};

/// What a [`Supervisor`] starts programs with. Each is ended by the supervisor, with [`Self::end`].
pub trait Launcher: Send + Sync + 'static {
    /// A program that was started.
    type Program: Send + 'static;

    /// Starts a program, as [`Runtime::start`] says. One at a time.
    fn launch(&self, spec: &Spec) -> impl Future<Output = Result<Self::Program>> + Send;

    /// The process, if there is such a thing. The default says that there is none.
    fn pid(&self, _program: &Self::Program) -> Option<u32> {
        None
    }

    /// Waits until the program has ended by itself; how. The future may be dropped before.
    fn wait(&self, program: &mut Self::Program) -> impl Future<Output = Exit> + Send;

    /// Ends the program and everything that it has started: politely, and by force after `grace`.
    /// Called once for each program, also for what is left of one that has ended by itself.
    fn end(&self, program: &mut Self::Program, grace: Duration) -> impl Future<Output = ()> + Send;

    /// All that the program of this key has printed, or the last one of it; `not_found` if there
    /// was none.
    fn output(&self, key: &InstanceKey) -> impl Future<Output = Result<Vec<u8>>> + Send;
}

/// The [`Runtime`] of a [`Launcher`]. It starts nothing again and takes over nothing of an earlier
/// server: a plugin says so with `lacks = ["runtime.restart", …]`.
#[derive(Debug)]
pub struct Supervisor<L> {
    launcher: Arc<L>,
    instances: Instances,
    /// Held while something is started: of two starts of one key one is refused.
    starting: Mutex<()>,
    starts: AtomicU64,
}

impl<L: Launcher> Supervisor<L> {
    /// Nothing runs yet.
    pub fn new(launcher: L) -> Self {
        Self {
            launcher: Arc::new(launcher),
            instances: Instances::new(),
            starting: Mutex::default(),
            starts: AtomicU64::default(),
        }
    }
}

impl<L: Launcher> Runtime for Supervisor<L> {
    async fn start(&self, _call: &Call, spec: &Spec) -> Result<Instance> {
        let _one = self.starting.lock().await;
        self.instances.check_vacant(&spec.key)?;
        let program = self.launcher.launch(spec).await?;
        let id = self.starts.fetch_add(1, Ordering::Relaxed).to_string();
        let (entry, stop) = Entry::started(id.clone(), spec, self.launcher.pid(&program));
        let (instance, _) = self.instances.insert(&spec.key, || Ok(entry))?;
        let supervised = Supervised {
            launcher: self.launcher.clone(),
            instances: self.instances.clone(),
            key: spec.key.clone(),
            id,
            stop,
        };
        tokio::spawn(supervised.run(program));
        Ok(instance)
    }

    async fn stop(&self, call: &Call, key: &InstanceKey, options: &StopOptions) -> Result<()> {
        self.instances.stop(call, key, options).await
    }

    async fn list(&self, _call: &Call, namespace: Option<&str>) -> Result<Vec<Instance>> {
        Ok(self.instances.list(namespace))
    }

    async fn logs(
        &self,
        _call: &Call,
        key: &InstanceKey,
        options: &LogOptions,
    ) -> Result<BoxStream<Result<LogLine>>> {
        let printed = self.launcher.output(key).await?;
        Ok(options.select(&printed))
    }

    async fn watch(&self, _call: &Call) -> Result<BoxStream<Result<InstanceChange>>> {
        Ok(self.instances.watch())
    }

    async fn shutdown(&self, call: &Call) -> Result<()> {
        let options = StopOptions::default();
        self.instances.shutdown(call, &options).await
    }
}

/// A start, as its task looks after it.
struct Supervised<L> {
    launcher: Arc<L>,
    instances: Instances,
    key: InstanceKey,
    id: String,
    stop: StopRequest,
}

impl<L: Launcher> Supervised<L> {
    async fn run(mut self, mut program: L::Program) {
        let exit = tokio::select! {
            biased;
            grace = self.stop.asked() => Err(grace),
            exit = self.launcher.wait(&mut program) => Ok(exit),
        };
        match exit {
            Ok(exit) => {
                // What it leaves behind has nobody left to end it.
                self.launcher.end(&mut program, Duration::ZERO).await;
                self.instances.exited(&self.key, &self.id, exit);
                // It is listed until somebody stops it, or starts it again.
                self.stop.asked().await;
            }
            Err(grace) => {
                let grace = grace.unwrap_or_default();
                self.launcher.end(&mut program, grace).await;
            }
        }
        self.instances.remove(&self.key, &self.id);
    }
}
