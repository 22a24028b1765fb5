//! A runtime of child processes, to begin from.

use std::{fs, path::PathBuf, process::Stdio, time::Duration};

use micro_plugin_api::prelude::*;
use nix::{sys::signal::Signal, sys::signal::killpg, unistd::Pid};
use tokio::{process::Child, process::Command, time::timeout};

/// The folder of what programs print.
struct Backend(PathBuf);

impl Backend {
    fn open(_: NoSettings, host: Host) -> Result<Supervisor<Self>> {
        Ok(Supervisor::new(Self(host.logs_dir().to_owned())))
    }

    fn log(&self, key: &InstanceKey) -> PathBuf {
        let name = key.to_string().replace('%', "%25").replace('/', "%2F");
        self.0.join(format!("{name}.log"))
    }
}

impl Launcher for Backend {
    type Program = (Child, Pid);

    async fn launch(&self, spec: &Spec) -> Result<Self::Program> {
        let failed = |error| Error::invalid(format!("cannot start {}: {error}", spec.key));
        fs::create_dir_all(&self.0).map_err(failed)?;
        let log = fs::File::create(self.log(&spec.key)).map_err(failed)?;
        let errors = log.try_clone().map_err(failed)?;
        let mut command = Command::new(spec.command.first().map_or("", String::as_str));
        command.current_dir(&spec.folder).env_clear();
        command.args(spec.command.iter().skip(1)).envs(&spec.env);
        // It leads a group of its own, in which its children are, too.
        command.stdin(Stdio::null()).process_group(0);
        let child = command.stdout(log).stderr(errors).spawn();
        let child = child.map_err(failed)?;
        let group = Pid::from_raw(child.id().map_or(i32::MAX, |id| id as i32));
        Ok((child, group))
    }

    fn pid(&self, program: &Self::Program) -> Option<u32> {
        program.0.id()
    }

    async fn wait(&self, program: &mut Self::Program) -> Exit {
        program.0.wait().await.map_or_else(Exit::from, Exit::from)
    }

    async fn end(&self, (child, group): &mut Self::Program, grace: Duration) {
        let _ = killpg(*group, Signal::SIGTERM);
        let _ = timeout(grace, child.wait()).await;
        let _ = killpg(*group, Signal::SIGKILL);
        let _ = child.wait().await;
    }

    async fn output(&self, key: &InstanceKey) -> Result<Vec<u8>> {
        let absent = |error| Error::not_found(format!("no logs of {key}: {error}"));
        fs::read(self.log(key)).map_err(absent)
    }
}

export_plugin! {
    name: "nursery",
    runtime: Backend::open,
    lacks = [
        "runtime.restart", "runtime.watch.restarts", "runtime.logs.over-restarts",
        "runtime.logs.follow", "runtime.logs.since",
        "runtime.stop.daemons", "runtime.stop.what-is-left-behind",
    ],
}

#[cfg(test)]
#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_its_contract() {
    use micro_plugin_conformance::runtime::{Programs, Subject, suite};
    let folder = tempfile::tempdir().unwrap();
    let programs = Programs::local(folder.path(), "/usr/bin:/bin");
    let open = async || {
        let runtime = Backend::open(NoSettings {}, Host::new("", "", folder.path()))?;
        Ok(Subject::new(RuntimeHandle::new(runtime), programs.clone()))
    };
    suite()
        .of(&PLUGIN.capabilities())
        .run(open)
        .await
        .assert_passed();
}
