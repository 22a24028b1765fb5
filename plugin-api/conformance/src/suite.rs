//! A suite and how it runs: a fresh handle, a deadline and a caught panic for each case.

use std::{
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use futures::{FutureExt as _, future::LocalBoxFuture};
use micro_plugin_api::{
    BlobHandle, BoxFuture, BrokerHandle, Call, Capabilities, RegistryHandle, Result, StoreHandle,
    StreamHandle,
};

use crate::{
    check::{Stop, Verdict, unique},
    report::{CaseReport, Outcome, Report},
};

/// How long a case may take unless it says otherwise: enough for a slow real backend.
const DEADLINE: Duration = Duration::from_secs(30);

/// How long opening and shutting down may take each.
const LIFECYCLE_DEADLINE: Duration = Duration::from_secs(10);

/// A handle that a suite can be run against.
pub trait Module: Clone + Send + Sync + 'static {
    /// Lets the instance behind the handle go.
    fn shutdown<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>>;
}

macro_rules! module {
    ($($handle:ty),*) => {$(
        impl Module for $handle {
            fn shutdown<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>> {
                Box::pin(<$handle>::shutdown(self, call))
            }
        }
    )*};
}
module!(
    StoreHandle,
    BlobHandle,
    StreamHandle,
    BrokerHandle,
    RegistryHandle
);

/// What a check works with.
pub(crate) enum Check<H> {
    /// One instance.
    Alone(fn(H) -> LocalBoxFuture<'static, Verdict>),
    /// Two that are open at the same time.
    Together(fn(H, H) -> LocalBoxFuture<'static, Verdict>),
    /// One, and one that is opened once the first was shut down; both are given a name that
    /// nothing else in the backend bears.
    Reopened([fn(H, String) -> LocalBoxFuture<'static, Verdict>; 2]),
}

/// One rule and the code that checks it.
pub struct Case<H> {
    name: &'static str,
    rule: &'static str,
    deadline: Duration,
    check: Check<H>,
}

impl<H> Case<H> {
    pub(crate) const fn new(name: &'static str, rule: &'static str, check: Check<H>) -> Self {
        Self {
            name,
            rule,
            deadline: DEADLINE,
            check,
        }
    }

    /// The rule's name, such as `store.list.prefix-is-literal`.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The rule in one sentence.
    pub const fn rule(&self) -> &'static str {
        self.rule
    }
}

/// A case whose check is the async function `$check`.
macro_rules! case {
    ($name:literal, $check:path, $rule:literal) => {
        $crate::Case::new(
            $name,
            $rule,
            $crate::suite::Check::Alone(|handle| Box::pin($check(handle))),
        )
    };
}
pub(crate) use case;

/// A case whose check is the async function `$check` of two instances that are open at once.
macro_rules! together {
    ($name:literal, $check:path, $rule:literal) => {
        $crate::Case::new(
            $name,
            $rule,
            $crate::suite::Check::Together(|one, other| Box::pin($check(one, other))),
        )
    };
}
pub(crate) use together;

/// A case whose check is the async functions `$before` and `$after`: what is true of an instance
/// is true of the next one.
macro_rules! reopened {
    ($name:literal, $before:path, $after:path, $rule:literal) => {
        $crate::Case::new(
            $name,
            $rule,
            $crate::suite::Check::Reopened([
                |handle, name| Box::pin($before(handle, name)),
                |handle, name| Box::pin($after(handle, name)),
            ]),
        )
    };
}
pub(crate) use reopened;
/// What goes on while a suite runs.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// A case begins.
    Begun {
        /// The rule's name.
        name: &'static str,
        /// The rule in one sentence.
        rule: &'static str,
    },
    /// A case has ended.
    Ended(&'a CaseReport),
}

/// The rules of one module.
pub struct Suite<H> {
    module: &'static str,
    cases: Vec<Case<H>>,
    /// The names of all rules of the module, whichever of them run.
    rules: Vec<&'static str>,
    capabilities: Capabilities,
}

impl<H: Module> Suite<H> {
    pub(crate) fn new(module: &'static str, cases: Vec<Case<H>>) -> Self {
        Self {
            module,
            rules: cases.iter().map(Case::name).collect(),
            cases,
            capabilities: Capabilities::default(),
        }
    }

    /// The same suite for a plugin that declares this: what it promises beyond the contract is
    /// tested, and what it lacks is skipped. Without it the contract is tested, no more and no
    /// less.
    #[must_use]
    pub fn of(mut self, capabilities: &Capabilities) -> Self {
        self.capabilities.clone_from(capabilities);
        self
    }

    /// The rules, in the order in which they run.
    pub fn cases(&self) -> &[Case<H>] {
        &self.cases
    }

    /// The same suite with those rules alone whose name begins with `prefix`.
    #[must_use]
    pub fn only(mut self, prefix: &str) -> Self {
        self.cases.retain(|case| case.name.starts_with(prefix));
        self
    }

    /// The same suite with those rules alone whose name contains `text`.
    #[must_use]
    pub fn matching(mut self, text: &str) -> Self {
        self.cases.retain(|case| case.name.contains(text));
        self
    }

    /// The same suite with `deadline` for each case in place of 30 seconds.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        for case in &mut self.cases {
            case.deadline = deadline;
        }
        self
    }

    /// Runs every case, one after another, each against a handle of its own from `open` (or two,
    /// where the rule is about that), which is shut down after it. `open` opens the same backend
    /// each time.
    ///
    /// Must be called on a multi-threaded tokio runtime: cases spawn tasks.
    pub async fn run<F>(&self, open: F) -> Report
    where
        F: AsyncFn() -> Result<H>,
    {
        self.run_watched(open, |_| {}).await
    }

    /// As [`Suite::run`]; `watch` is told of each case as it begins and as it ends.
    pub async fn run_watched<F>(&self, open: F, mut watch: impl FnMut(Progress<'_>)) -> Report
    where
        F: AsyncFn() -> Result<H>,
    {
        let mut cases = Vec::with_capacity(self.cases.len());
        for case in &self.cases {
            watch(Progress::Begun {
                name: case.name,
                rule: case.rule,
            });
            let begun = Instant::now();
            let without = self.capabilities.without(case.name);
            let outcome = match without {
                Some(capability) => Outcome::Skipped(format!("it does not promise {capability}")),
                None => match run_case(case, &open).await {
                    Ok(()) => Outcome::Passed,
                    Err(Stop(reason)) => Outcome::Failed(reason),
                },
            };
            let report = CaseReport {
                name: case.name,
                rule: case.rule,
                outcome,
                without: without.map(str::to_owned),
                duration: begun.elapsed(),
            };
            watch(Progress::Ended(&report));
            cases.push(report);
        }
        Report {
            module: self.module,
            cases,
            unknown: self.unknown(&self.capabilities),
        }
    }

    /// What a plugin declares of this module that is the name of no rule.
    pub fn unknown(&self, capabilities: &Capabilities) -> Vec<String> {
        let Capabilities { promises, lacks } = capabilities;
        let is_of_module = |name: &&String| Capabilities::covers(self.module, name);
        let is_known = |name: &String| {
            let mut rules = self.rules.iter();
            rules.any(|rule| Capabilities::covers(name, rule))
        };
        let declared = promises.iter().chain(lacks).filter(is_of_module);
        declared.filter(|name| !is_known(name)).cloned().collect()
    }
}

async fn run_case<H: Module>(case: &Case<H>, open: &impl AsyncFn() -> Result<H>) -> Verdict {
    match case.check {
        Check::Alone(check) => {
            let handle = opened(open).await?;
            let of_check = handle.clone();
            checked(case.deadline, vec![handle], move || check(of_check)).await
        }
        Check::Together(check) => {
            let (one, other) = (opened(open).await?, opened(open).await?);
            let handles = vec![one.clone(), other.clone()];
            checked(case.deadline, handles, move || check(one, other)).await
        }
        Check::Reopened(checks) => {
            let name = unique("reopened");
            for check in checks {
                let handle = opened(open).await?;
                let (of_check, name) = (handle.clone(), name.clone());
                checked(case.deadline, vec![handle], move || check(of_check, name)).await?;
            }
            Ok(())
        }
    }
}

async fn opened<H>(open: &impl AsyncFn() -> Result<H>) -> Verdict<H> {
    // The constructor is the caller's own code and need not be `Send`, so it runs here.
    let opened = AssertUnwindSafe(tokio::time::timeout(LIFECYCLE_DEADLINE, open()))
        .catch_unwind()
        .await;
    match opened {
        Ok(Ok(Ok(handle))) => Ok(handle),
        Ok(Ok(Err(error))) => Err(Stop(format!("could not be opened: {error}"))),
        Ok(Err(_)) => Err(not_within("opened", LIFECYCLE_DEADLINE)),
        Err(_) => Err(Stop("opening it panicked".to_owned())),
    }
}

/// Runs a check and shuts down what it worked with.
async fn checked<H: Module>(
    deadline: Duration,
    handles: Vec<H>,
    check: impl FnOnce() -> LocalBoxFuture<'static, Verdict> + Send + 'static,
) -> Verdict {
    let mut verdict = match on_own_thread(check, deadline).await {
        Ended::Done(verdict) => verdict,
        Ended::Panicked(text) => Err(Stop(format!("panicked: {text}"))),
        Ended::TimedOut => Err(not_within("finished", deadline)),
    };
    for handle in handles {
        let closing = move || async move { handle.shutdown(&Call::default()).await }.boxed_local();
        let closed = match on_own_thread(closing, LIFECYCLE_DEADLINE).await {
            Ended::Done(Ok(())) => Ok(()),
            Ended::Done(Err(error)) => Err(Stop(format!("shutdown failed: {error}"))),
            Ended::Panicked(text) => Err(Stop(format!("shutdown panicked: {text}"))),
            Ended::TimedOut => Err(not_within("shut down", LIFECYCLE_DEADLINE)),
        };
        verdict = verdict.and(closed);
    }
    verdict
}

enum Ended<T> {
    Done(T),
    Panicked(String),
    TimedOut,
}

/// Drives a future on a thread of its own, so that an implementation which blocks it stops neither
/// the clock nor the next case. The thread of one that never returns is given up.
async fn on_own_thread<T: Send + 'static>(
    work: impl FnOnce() -> LocalBoxFuture<'static, T> + Send + 'static,
    deadline: Duration,
) -> Ended<T> {
    let runtime = tokio::runtime::Handle::current();
    let (done, ended) = tokio::sync::oneshot::channel();
    #[expect(
        clippy::disallowed_methods,
        reason = "the thread is this one future's own"
    )]
    let thread = move || {
        let work = async { tokio::time::timeout(deadline, work()).await };
        let ended = std::panic::catch_unwind(AssertUnwindSafe(|| runtime.block_on(work)));
        // Nobody listens any more after the deadline.
        let _ = done.send(match ended {
            Ok(Ok(value)) => Ended::Done(value),
            Ok(Err(_)) => Ended::TimedOut,
            Err(payload) => Ended::Panicked(panic_text(payload.as_ref())),
        });
    };
    let spawned = std::thread::Builder::new()
        .name("conformance".to_owned())
        .spawn(thread);
    if let Err(error) = spawned {
        return Ended::Panicked(format!("no thread for the case: {error}"));
    }
    // A little more than what the future itself has, which ends more gracefully.
    let patience = deadline + Duration::from_secs(1);
    match tokio::time::timeout(patience, ended).await {
        Ok(Ok(ended)) => ended,
        Ok(Err(_)) | Err(_) => Ended::TimedOut,
    }
}

fn panic_text(payload: &(dyn std::any::Any + Send)) -> String {
    payload
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| {
            payload
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
        })
        .unwrap_or_else(|| "without a text".to_owned())
}

fn not_within(what: &str, deadline: Duration) -> Stop {
    Stop(format!("not {what} within {deadline:?}"))
}
