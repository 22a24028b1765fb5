//! A conformance suite against a library: asked for here, run in a child process, told rule by rule, so
//! that what was found is known also when the plugin takes the process with it.

use std::time::Duration;

use micro_loader::{Instance, Library, Loader, OPEN_DEADLINE};
use micro_plugin_api::{Error, Host};
use micro_plugin_conformance::{
    CaseReport, Module, Outcome, Progress, Suite, blob, broker, registry,
    runtime::{self, Programs, Subject},
    store, stream,
};
use serde::{Deserialize, Serialize};

use super::{
    child::{Child, Ended, Order, Parent, Trial},
    house, options,
};
use crate::error::{CliError, Result};

/// How long a child may say nothing: longer than any rule may take, its instances opened and shut
/// down.
const PATIENCE: Duration = Duration::from_secs(180);

/// A rule, and how it went.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ran {
    /// The rule's name.
    pub(crate) name: String,
    /// The rule in a sentence.
    pub(crate) rule: String,
    /// `passed`, `failed` or `skipped`.
    pub(crate) outcome: String,
    /// What was seen instead, or why it was skipped.
    pub(crate) reason: Option<String>,
    /// How long it took.
    pub(crate) seconds: f64,
}

impl Ran {
    /// Whether the rule did not hold.
    pub(crate) fn is_failed(&self) -> bool {
        self.outcome == "failed"
    }
}

impl From<&CaseReport> for Ran {
    fn from(case: &CaseReport) -> Self {
        let (outcome, reason) = match &case.outcome {
            Outcome::Passed => ("passed", None),
            Outcome::Failed(reason) => ("failed", Some(reason.clone())),
            Outcome::Skipped(reason) => ("skipped", Some(reason.clone())),
        };
        Self {
            name: case.name.to_owned(),
            rule: case.rule.to_owned(),
            outcome: outcome.to_owned(),
            reason,
            seconds: case.duration.as_secs_f64(),
        }
    }
}

/// What a child says.
#[derive(Serialize, Deserialize)]
enum Said {
    /// There can be no run.
    Refused(String),
    /// A rule is being checked.
    Begun { name: String, rule: String },
    /// It has been.
    Ended(Ran),
    /// That was all.
    Done,
}

/// Runs a suite. `each` is told how each rule went. One during which the plugin ended the process
/// has failed, and no other is checked after it.
///
/// # Errors
/// The library cannot be loaded, or there is no such suite.
pub(crate) async fn run(trial: Trial, mut each: impl FnMut(&Ran)) -> Result<Vec<Ran>> {
    let mut child = Child::start(&Order::Test(Box::new(trial))).await?;
    let mut all = Vec::new();
    let mut current = None;
    let end = loop {
        match child.next(PATIENCE).await {
            Ok(Said::Refused(why)) => return Err(CliError::plain(why)),
            Ok(Said::Begun { name, rule }) => current = Some((name, rule)),
            Ok(Said::Ended(ran)) => {
                current = None;
                each(&ran);
                all.push(ran);
            }
            Ok(Said::Done) => return Ok(all),
            Err(Ended::Gone(how)) => break format!("the plugin ended the process: {how}"),
            Err(Ended::Silent(patience)) => {
                break format!("the process hung for {} s", patience.as_secs());
            }
        }
    };
    let Some((name, rule)) = current else {
        return Err(CliError::plain(end));
    };
    let ran = Ran {
        name,
        rule,
        outcome: "failed".to_owned(),
        reason: Some(end),
        seconds: 0.0,
    };
    each(&ran);
    all.push(ran);
    Ok(all)
}

/// Runs it, in the child.
pub(super) async fn answer(parent: &mut Parent, trial: &Trial) {
    let loader = Loader::new(Vec::new(), parent.folder().join("copies"));
    let options = options(&trial.file.name, trial.file.sha256.as_deref());
    let said = match loader.load(&trial.file.path, &options) {
        Ok(library) => match suite(parent, trial, &library).await {
            Ok(()) => Said::Done,
            Err(refusal) => Said::Refused(refusal),
        },
        Err(refusal) => Said::Refused(refusal.to_string()),
    };
    parent.say(&said).await;
}

async fn suite(
    parent: &mut Parent,
    trial: &Trial,
    library: &Library,
) -> std::result::Result<(), String> {
    let state = parent.folder().join("state");
    let host = Host::new(library.name(), &state, parent.folder().join("logs"));
    let open = Open {
        library,
        host,
        settings: &trial.settings,
    };
    match trial.module.as_str() {
        "store" => {
            open.run(parent, trial, store::suite(), Instance::store)
                .await
        }
        "blob" => open.run(parent, trial, blob::suite(), Instance::blob).await,
        "stream" => {
            open.run(parent, trial, stream::suite(), Instance::stream)
                .await
        }
        "broker" => {
            open.run(parent, trial, broker::suite(), Instance::broker)
                .await
        }
        "registry" => {
            open.run(parent, trial, registry::suite(), Instance::registry)
                .await
        }
        "runtime" => {
            let programs = Programs::local(parent.folder(), &trial.path);
            let subject = |instance: &Instance| {
                let runtime = instance.runtime()?;
                Some(Subject::new(runtime, programs.clone()))
            };
            open.run(parent, trial, runtime::suite(), subject).await
        }
        other => return Err(format!("there is no suite for a module `{other}`")),
    }
    Ok(())
}

/// What comes of a capability that is none: a plugin that declares it promises nothing.
fn unknown(name: String) -> Ran {
    Ran {
        name,
        rule: "What a plugin declares is the name of a rule, or of a group of rules.".to_owned(),
        outcome: "failed".to_owned(),
        reason: Some("the plugin declares it, and there is no such rule".to_owned()),
        seconds: 0.0,
    }
}

/// How instances are opened.
struct Open<'a> {
    library: &'a Library,
    host: Host,
    settings: &'a str,
}

impl Open<'_> {
    async fn run<H: Module>(
        &self,
        parent: &mut Parent,
        trial: &Trial,
        suite: Suite<H>,
        view: impl Fn(&Instance) -> Option<H>,
    ) {
        let suite = suite
            .of(&self.library.manifest().capabilities)
            .matching(&trial.filter);
        let before = house::watch();
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let run = async {
            let report = suite
                .run_watched(
                    async || self.open(&view).await,
                    |progress| {
                        let said = match progress {
                            Progress::Begun { name, rule } => Said::Begun {
                                name: name.to_owned(),
                                rule: rule.to_owned(),
                            },
                            Progress::Ended(report) => Said::Ended(report.into()),
                        };
                        // The other end is in this function and outlives this one.
                        let _ = tell.send(said);
                    },
                )
                .await;
            for name in report.unknown {
                let _ = tell.send(Said::Ended(unknown(name)));
            }
            let rules = report.cases.len() as u64;
            if rules > 0 && trial.filter.is_empty() {
                for ran in house::inspect(&before, rules).await {
                    let _ = tell.send(Said::Ended(ran));
                }
            }
            drop(tell);
        };
        let pass_on = async {
            while let Some(said) = told.recv().await {
                parent.say(&said).await;
            }
        };
        tokio::join!(run, pass_on);
    }

    async fn open<H>(&self, view: impl Fn(&Instance) -> Option<H>) -> micro_plugin_api::Result<H> {
        let opened = self
            .library
            .open(self.settings, self.host.clone(), OPEN_DEADLINE)
            .await;
        let instance = opened.map_err(|error| Error::unavailable(error.to_string()))?;
        view(&instance).ok_or_else(|| Error::unsupported("the plugin lacks this module"))
    }
}
