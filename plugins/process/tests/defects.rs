//! The suite notices what is wrong: the process runtime behind a wrapper that breaks one rule.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt as _, stream};
use micro_plugin_api::{
    BoxStream, Call, Host, Result, Runtime, RuntimeHandle,
    runtime::{
        Exit, Instance, InstanceChange, InstanceKey, LogLine, LogOptions, RestartPolicy,
        RestartWhen, Spec, State, StopOptions,
    },
};
use micro_plugin_conformance::runtime::{self, Programs, Subject};
use micro_process::{ProcessRuntime, Settings};

/// What is wrong with a runtime.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Defect {
    InheritsEnvironment,
    ForgetsTheRun,
    TakesEveryNamespace,
    StartsTwice,
    KillsAtOnce,
    NeverKills,
    StopsOneOfTwo,
    NeverRestarts,
    RestartsEverything,
    NeverWaits,
    HidesTheCode,
    HidesTheSignal,
    NoTail,
    NoSince,
    NoFollow,
    LogsOfNobody,
    NoSnapshot,
    NoEnds,
}

struct Bad {
    inner: ProcessRuntime,
    defect: Defect,
    starts: Arc<AtomicU64>,
}

impl Bad {
    fn seen(&self, mut instance: Instance) -> Instance {
        match self.defect {
            Defect::ForgetsTheRun => instance.run.clear(),
            Defect::HidesTheCode | Defect::HidesTheSignal => {
                if let State::Exited(exit) = &mut instance.state {
                    *exit = match self.defect {
                        Defect::HidesTheCode => Exit {
                            code: exit.code.map(|_| 0),
                            ..exit.clone()
                        },
                        _ => Exit {
                            code: Some(exit.code.unwrap_or(1)),
                            ..Exit::default()
                        },
                    };
                }
            }
            _ => {}
        }
        instance
    }
}

impl Runtime for Bad {
    async fn start(&self, call: &Call, spec: &Spec) -> Result<Instance> {
        let mut spec = spec.clone();
        match self.defect {
            Defect::InheritsEnvironment => {
                spec.env.insert("HOME".to_owned(), "/root".to_owned());
            }
            Defect::StartsTwice => {
                let number = self.starts.fetch_add(1, Ordering::Relaxed);
                spec.key.version = format!("{}-{number}", spec.key.version);
            }
            Defect::NeverRestarts => spec.restart.when = RestartWhen::Never,
            Defect::RestartsEverything => {
                spec.restart = RestartPolicy {
                    when: RestartWhen::Always,
                    initial_ms: 20,
                    ..spec.restart
                };
            }
            Defect::NeverWaits => {
                spec.restart.initial_ms = 1;
                spec.restart.max_ms = 1;
            }
            _ => {}
        }
        Ok(self.seen(self.inner.start(call, &spec).await?))
    }

    async fn stop(&self, call: &Call, key: &InstanceKey, options: &StopOptions) -> Result<()> {
        let mut options = options.clone();
        match self.defect {
            Defect::KillsAtOnce => options.grace_ms = 0,
            Defect::NeverKills => options.grace_ms = 3_600_000,
            Defect::StopsOneOfTwo => {
                for instance in self.inner.list(call, Some(&key.namespace)).await? {
                    if instance.key.name == key.name && instance.key != *key {
                        self.inner.stop(call, &instance.key, &options).await?;
                    }
                }
            }
            _ => {}
        }
        self.inner.stop(call, key, &options).await
    }

    async fn list(&self, call: &Call, namespace: Option<&str>) -> Result<Vec<Instance>> {
        let namespace = namespace.filter(|_| self.defect != Defect::TakesEveryNamespace);
        let all = self.inner.list(call, namespace).await?;
        Ok(all
            .into_iter()
            .map(|instance| self.seen(instance))
            .collect())
    }

    async fn logs(
        &self,
        call: &Call,
        key: &InstanceKey,
        options: &LogOptions,
    ) -> Result<BoxStream<Result<LogLine>>> {
        let mut options = options.clone();
        match self.defect {
            Defect::NoTail => options.tail = None,
            Defect::NoSince => options.since = None,
            Defect::NoFollow => options.follow = false,
            _ => {}
        }
        match self.inner.logs(call, key, &options).await {
            Err(_) if self.defect == Defect::LogsOfNobody => Ok(stream::empty().boxed()),
            lines => lines,
        }
    }

    async fn watch(&self, call: &Call) -> Result<BoxStream<Result<InstanceChange>>> {
        let defect = self.defect;
        let changes = self.inner.watch(call).await?;
        let told = changes.filter(move |change| {
            let hidden = match change {
                Ok(InstanceChange::Present(_)) => defect == Defect::NoSnapshot,
                Ok(InstanceChange::Exited(_)) => defect == Defect::NoEnds,
                _ => false,
            };
            std::future::ready(!hidden)
        });
        Ok(told.boxed())
    }

    async fn shutdown(&self, call: &Call) -> Result<()> {
        self.inner.shutdown(call).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_defect_fails_its_rule() {
    let path = std::env::var("PATH").unwrap();
    for (defect, rule) in [
        (Defect::InheritsEnvironment, "runtime.start.environment"),
        (Defect::ForgetsTheRun, "runtime.start.runs"),
        (
            Defect::TakesEveryNamespace,
            "runtime.list.order-and-namespace",
        ),
        (Defect::StartsTwice, "runtime.start.once"),
        (Defect::KillsAtOnce, "runtime.stop.politely"),
        (Defect::NeverKills, "runtime.stop.by-force"),
        (Defect::NeverKills, "runtime.stop.children"),
        (Defect::StopsOneOfTwo, "runtime.stop.only-its-own"),
        (Defect::NeverRestarts, "runtime.restart.always"),
        (Defect::NeverRestarts, "runtime.restart.crash-loop"),
        (Defect::RestartsEverything, "runtime.restart.never"),
        (Defect::RestartsEverything, "runtime.restart.on-failure"),
        (Defect::NeverWaits, "runtime.restart.back-off"),
        (Defect::HidesTheCode, "runtime.exit.code"),
        (Defect::HidesTheSignal, "runtime.exit.signal"),
        (Defect::NoTail, "runtime.logs.tail"),
        (Defect::NoSince, "runtime.logs.since"),
        (Defect::NoFollow, "runtime.logs.follow"),
        (Defect::LogsOfNobody, "runtime.logs.unknown"),
        (
            Defect::NoSnapshot,
            "runtime.watch.begins-with-what-is-there",
        ),
        (Defect::NoEnds, "runtime.watch.start-end-stop"),
        (Defect::NoEnds, "runtime.watch.restarts"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let programs = Programs::local(folder.path(), &path);
        let open = async || {
            let host = Host::new(
                "process",
                folder.path().join("state"),
                folder.path().join("logs"),
            );
            let settings = Settings {
                shutdown_grace_ms: 100,
                ..Settings::default()
            };
            let bad = Bad {
                inner: ProcessRuntime::open(settings, host).await?,
                defect,
                starts: Arc::default(),
            };
            Ok(Subject::new(RuntimeHandle::new(bad), programs.clone()))
        };
        let suite = runtime::suite()
            .only(rule)
            .with_deadline(Duration::from_secs(4));
        let report = suite.run(open).await;
        report.assert_noticed(rule, &defect);
    }
}
