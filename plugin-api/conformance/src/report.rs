//! What came of running a suite: for a test to assert on and for a command to print.

use std::{fmt, time::Duration};

use serde::Serialize;

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", content = "reason", rename_all = "snake_case")]
pub enum Outcome {
    /// The rule held.
    Passed,
    /// It did not, and this is what was seen instead.
    Failed(String),
    /// The plugin declares that it does not promise what the rule is about. To answer `unsupported`
    /// is not enough.
    Skipped(String),
}

/// One case of a run.
#[derive(Clone, Debug, Serialize)]
pub struct CaseReport {
    /// The rule's name, such as `store.list.prefix-is-literal`.
    pub name: &'static str,
    /// The rule in one sentence.
    pub rule: &'static str,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The capability that the rule needs and the plugin declares not to have: the case was not
    /// run.
    pub without: Option<String>,
    /// How long the case took, opening and shutting down included.
    pub duration: Duration,
}

/// Every case of a run, in the suite's order.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The module that the suite is for.
    pub module: &'static str,
    /// The cases.
    pub cases: Vec<CaseReport>,
    /// What the plugin declares of this module that is the name of no rule.
    pub unknown: Vec<String>,
}

impl Report {
    /// The cases whose rule held.
    pub fn passed(&self) -> impl Iterator<Item = &CaseReport> {
        self.cases
            .iter()
            .filter(|case| case.outcome == Outcome::Passed)
    }

    /// The cases whose rule did not hold.
    pub fn failed(&self) -> impl Iterator<Item = &CaseReport> {
        self.cases
            .iter()
            .filter(|case| matches!(case.outcome, Outcome::Failed(_)))
    }

    /// The cases that the plugin declares to lack.
    pub fn skipped(&self) -> impl Iterator<Item = &CaseReport> {
        self.cases
            .iter()
            .filter(|case| matches!(case.outcome, Outcome::Skipped(_)))
    }

    /// How the case called `name` ended, if the suite has one.
    pub fn outcome(&self, name: &str) -> Option<&Outcome> {
        self.cases
            .iter()
            .find(|case| case.name == name)
            .map(|case| &case.outcome)
    }

    /// Whether a case passed, as did every other that the plugin does not declare to lack, and what
    /// it declares is known.
    pub fn is_clean(&self) -> bool {
        let kept = |case: &CaseReport| case.outcome == Outcome::Passed || case.without.is_some();
        self.passed().next().is_some() && self.cases.iter().all(kept) && self.unknown.is_empty()
    }

    /// For tests: panics with every failed and skipped rule unless the report is clean.
    ///
    /// # Panics
    /// If a case failed, none passed, or what is declared is the name of no rule.
    pub fn assert_passed(&self) {
        assert!(self.is_clean(), "{self}");
    }

    /// For tests of a suite: panics unless the case `rule` noticed this defect.
    ///
    /// # Panics
    /// If it passed, was skipped, or there was none.
    #[track_caller]
    pub fn assert_noticed(&self, rule: &str, defect: &impl fmt::Debug) {
        let outcome = self.outcome(rule);
        assert!(
            matches!(outcome, Some(Outcome::Failed(_))),
            "{defect:?}, {rule}: {outcome:?}"
        );
    }
}

/// The cases that did not pass, a line each, below a line of totals.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} passed, {} failed, {} skipped",
            self.module,
            self.passed().count(),
            self.failed().count(),
            self.skipped().count(),
        )?;
        for case in &self.cases {
            let (word, reason) = match &case.outcome {
                Outcome::Passed => continue,
                Outcome::Failed(reason) => ("failed", reason),
                Outcome::Skipped(reason) => ("skipped", reason),
            };
            write!(f, "\n{word} {}: {reason}\n  rule: {}", case.name, case.rule)?;
        }
        for name in &self.unknown {
            write!(f, "\ndeclared {name}: there is no such rule")?;
        }
        Ok(())
    }
}
