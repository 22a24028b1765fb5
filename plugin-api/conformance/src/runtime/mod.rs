//! The rules of the `runtime` module.
//!
//! They need programs to run. Which ones there are where the runtime runs them, [`Programs`] says:
//! a POSIX shell is all that the rules ask for.

mod instances;
mod logs;
mod restarts;
mod stop;
mod watch;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use futures::StreamExt as _;
use micro_plugin_api::{
    BoxFuture, BoxStream, Call, Result, RuntimeHandle,
    runtime::{
        Exit, Instance, InstanceChange, InstanceKey, LogOptions, RestartPolicy, RestartWhen, Spec,
        State, StopOptions,
    },
};

use crate::{
    Suite,
    check::{Stop, Verdict, ensure, unique},
    suite::Module,
    wait::eventually,
};

/// Every rule of the `runtime` module.
pub fn suite() -> Suite<Subject> {
    let groups = [
        instances::cases(),
        stop::cases(),
        restarts::cases(),
        logs::cases(),
        watch::cases(),
    ];
    Suite::new("runtime", groups.into_iter().flatten().collect())
}

/// How a runtime under test is made to run a few lines of shell.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The program and arguments that the lines follow as one more argument: `["sh", "-c"]`.
    pub shell: Vec<String>,
    /// The folder that programs start in; they may write files there, and the suite reads them.
    pub folder: PathBuf,
    /// The environment that the shell needs to find `sleep`, `cat` and the like.
    pub env: BTreeMap<String, String>,
}

impl Programs {
    /// `sh` of this machine, with this value of `PATH`, in `folder`.
    pub fn local(folder: impl Into<PathBuf>, path: &str) -> Self {
        Self {
            shell: ["sh", "-c"].map(str::to_owned).to_vec(),
            folder: folder.into(),
            env: BTreeMap::from([("PATH".to_owned(), path.to_owned())]),
        }
    }
}

/// A runtime under test, and what it can be made to run.
#[derive(Clone)]
pub struct Subject {
    runtime: RuntimeHandle,
    programs: Programs,
}

impl Subject {
    /// Puts both together.
    pub fn new(runtime: RuntimeHandle, programs: Programs) -> Self {
        Self { runtime, programs }
    }
}

impl Module for Subject {
    fn shutdown<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.runtime.shutdown(call))
    }
}

/// A runtime with a namespace of its own: what a case works in.
#[derive(Clone)]
struct Scope {
    runtime: RuntimeHandle,
    programs: Programs,
    call: Call,
    namespace: String,
}

impl Scope {
    fn new(subject: Subject) -> Self {
        let namespace = unique("ns");
        Self {
            runtime: subject.runtime,
            programs: subject.programs,
            call: Call::new(&namespace).with_timeout(Duration::from_secs(30)),
            namespace,
        }
    }

    fn key(&self, name: &str) -> InstanceKey {
        InstanceKey {
            namespace: self.namespace.clone(),
            name: name.to_owned(),
            version: "latest".to_owned(),
        }
    }

    /// What runs these lines of shell; `FILE` in them is the path of a file that is this case's.
    fn spec(&self, name: &str, script: &str) -> Spec {
        let script = script.replace("FILE", &self.file(name).display().to_string());
        let mut command = self.programs.shell.clone();
        command.push(script);
        Spec {
            key: self.key(name),
            command,
            folder: self.programs.folder.clone(),
            env: self.programs.env.clone(),
            ..Spec::default()
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        let file = format!("{}-{name}", self.namespace);
        self.programs.folder.join(file)
    }

    async fn start(&self, spec: &Spec) -> Result<Instance> {
        self.runtime.start(&self.call, spec).await
    }

    async fn shell(&self, name: &str, script: &str) -> Result<Instance> {
        self.start(&self.spec(name, script)).await
    }

    async fn stop(&self, name: &str, grace_ms: u64) -> Result<()> {
        let options = StopOptions { grace_ms };
        self.runtime
            .stop(&self.call, &self.key(name), &options)
            .await
    }

    /// What this namespace holds.
    async fn list(&self) -> Result<Vec<Instance>> {
        self.runtime.list(&self.call, Some(&self.namespace)).await
    }

    async fn instance(&self, name: &str) -> Result<Option<Instance>> {
        let all = self.list().await?;
        Ok(all
            .into_iter()
            .find(|instance| instance.key == self.key(name)))
    }

    /// Waits until the instance is as `is` says; the instance.
    async fn wait(
        &self,
        what: &str,
        name: &str,
        is: impl Fn(&Instance) -> bool,
    ) -> Verdict<Instance> {
        let mut found = None;
        eventually(what, async || {
            found = self.instance(name).await?;
            Ok(found.as_ref().is_some_and(&is))
        })
        .await?;
        found.ok_or_else(|| Stop(format!("{name} is not listed")))
    }

    /// Waits until the instance has ended for good; how.
    async fn exit(&self, name: &str) -> Verdict<Exit> {
        let ended = |instance: &Instance| matches!(instance.state, State::Exited(_));
        match self
            .wait("the program's end is listed", name, ended)
            .await?
            .state
        {
            State::Exited(exit) => Ok(exit),
            other => Err(Stop(format!("{other:?} is no end"))),
        }
    }

    /// Waits until a program has written so many whole lines into its file; the lines.
    async fn written(&self, name: &str, least: usize) -> Verdict<Vec<String>> {
        let path = self.file(name);
        let mut lines = Vec::new();
        eventually("the program writes its file", async || {
            let text = tokio::fs::read_to_string(&path).await.unwrap_or_default();
            let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
            lines = whole.lines().map(str::to_owned).collect();
            Ok(lines.len() >= least)
        })
        .await?;
        Ok(lines)
    }

    async fn lines(&self, name: &str, options: &LogOptions) -> Result<BoxStream<Result<String>>> {
        let lines = self
            .runtime
            .logs(&self.call, &self.key(name), options)
            .await?;
        Ok(lines.map(|line| line.map(|line| line.text)).boxed())
    }

    /// All lines at once.
    async fn log(&self, name: &str, tail: Option<u64>) -> Verdict<Vec<String>> {
        let options = LogOptions {
            tail,
            ..LogOptions::default()
        };
        let mut lines = self.lines(name, &options).await?;
        let mut all = Vec::new();
        while let Some(line) = next(&mut lines).await? {
            all.push(line);
        }
        Ok(all)
    }
}

/// What restarts without end, and quickly.
fn always() -> RestartPolicy {
    RestartPolicy {
        when: RestartWhen::Always,
        initial_ms: 50,
        max_ms: 400,
        healthy_ms: 60_000,
        crash_loop_after: 3,
    }
}

/// The next item; fails when neither it nor the end comes within ten seconds.
async fn next<T>(stream: &mut BoxStream<Result<T>>) -> Verdict<Option<T>> {
    let patience = Duration::from_secs(10);
    match tokio::time::timeout(patience, stream.next()).await {
        Ok(item) => Ok(item.transpose()?),
        Err(_) => Err(Stop(format!("nothing came within {patience:?}"))),
    }
}

/// The next change of this namespace.
async fn change(
    scope: &Scope,
    changes: &mut BoxStream<Result<InstanceChange>>,
) -> Verdict<InstanceChange> {
    loop {
        let Some(change) = next(changes).await? else {
            return Err(Stop("the watch ended by itself".to_owned()));
        };
        match &change {
            InstanceChange::Present(instance)
            | InstanceChange::Started(instance)
            | InstanceChange::Exited(instance)
            | InstanceChange::Stopped(instance)
                if instance.key.namespace != scope.namespace => {}
            _ => return Ok(change),
        }
    }
}

/// Ends the case as failed unless the process is gone. Nothing to see where it is not of this
/// machine.
async fn gone(what: &str, pid: &str) -> Verdict {
    let path = format!("/proc/{pid}/stat");
    eventually(what, async || {
        let stat = tokio::fs::read_to_string(&path).await;
        Ok(stat.map_or(true, |stat| {
            stat.rsplit(')').next().unwrap_or("").starts_with(" Z")
        }))
    })
    .await
}

fn running(instance: &Instance) -> bool {
    instance.state == State::Running
}

/// Ends the case as failed unless there is such an instance in such a state.
async fn runs(scope: &Scope, name: &str) -> Verdict<Instance> {
    let found = scope.instance(name).await?;
    ensure!(
        found.as_ref().is_some_and(running),
        "{name} should run: {found:?}"
    );
    found.ok_or_else(|| Stop(format!("{name} is not listed")))
}
