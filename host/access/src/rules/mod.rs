//! The rules of all namespaces, kept in memory until they change.

mod engine;
mod error;
mod limits;
mod rule;

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
};

use micro_plugin_api::store::{Commit, Precondition, Version};
use moka::sync::Cache;
use tokio::sync::Mutex;

pub use engine::RuleSet;
pub use error::RuleError;
pub use rule::{Effect, Resource, Rule};

use crate::{
    namespace,
    records::{RULES, RecordError, Records, put},
};

/// How many namespaces are kept. Anybody can name a namespace, so there must be a bound.
const CAPACITY: u64 = 4096;
/// How many locks namespaces share.
const LOCKS: usize = 64;
/// How many rules a namespace may have: each call of it goes through them.
const MAX_RULES: usize = 1000;
/// How often a change starts over when somebody else changed the rules meanwhile.
const ATTEMPTS: usize = 8;

/// The rules of a namespace, and the epoch for which they hold.
#[derive(Clone)]
struct Kept {
    rules: Arc<RuleSet>,
    epoch: u64,
}

/// The rules of all namespaces.
pub struct Rules {
    records: Records,
    kept: Cache<String, Kept>,
    /// The one of a namespace is held while its rules are read, so that a change is followed by
    /// one read and not by one for each call under way.
    reading: [Mutex<()>; LOCKS],
    hasher: RandomState,
    default: Arc<RuleSet>,
}

impl Rules {
    pub(crate) fn new(records: Records) -> Self {
        Self {
            records,
            kept: Cache::new(CAPACITY),
            reading: [const { Mutex::const_new(()) }; LOCKS],
            hasher: RandomState::new(),
            default: Arc::new(RuleSet::new(vec![Rule::default_rule()])),
        }
    }

    /// The rules that decide in `namespace`: those stored, else the default rule alone. Costs no
    /// more than a look into memory while nothing has changed.
    ///
    /// # Errors
    /// A store that fails when it has to be read.
    pub async fn of(&self, namespace: &str) -> Result<Arc<RuleSet>, RecordError> {
        if let Some(rules) = self.kept(namespace) {
            return Ok(rules);
        }
        let lock = self.hasher.hash_one(namespace) % LOCKS as u64;
        let _reading = self.reading[lock as usize].lock().await;
        if let Some(rules) = self.kept(namespace) {
            return Ok(rules);
        }
        let epoch = self.records.epoch().current();
        let stored = self.stored(namespace).await?;
        let rules = if stored.is_empty() {
            // Not written: anybody can name a namespace that nobody has.
            self.default.clone()
        } else {
            Arc::new(RuleSet::new(stored))
        };
        let kept = Kept {
            rules: rules.clone(),
            epoch,
        };
        self.kept.insert(namespace.to_owned(), kept);
        Ok(rules)
    }

    fn kept(&self, namespace: &str) -> Option<Arc<RuleSet>> {
        let kept = self.kept.get(namespace)?;
        (kept.epoch == self.records.epoch().current()).then_some(kept.rules)
    }

    /// The rules of `namespace` in order of their ids. Writes the default rule first if there are
    /// none; not for what cannot be a namespace, whose keys could be those of another.
    ///
    /// # Errors
    /// A store that fails.
    pub async fn list(&self, namespace: &str) -> Result<Vec<Rule>, RecordError> {
        if !namespace::is_valid(namespace) {
            return Ok(vec![Rule::default_rule()]);
        }
        let stored = self.stored(namespace).await?;
        if !stored.is_empty() {
            return Ok(stored);
        }
        let default = insertion(Commit::new(), namespace, &Rule::default_rule());
        match self.records.commit_and_tell(default).await {
            Err(error) if !error.is_conflict() => return Err(error),
            _ => {}
        }
        self.stored(namespace).await
    }

    /// Makes a rule. In a namespace without any, the default rule is written with it: a first
    /// rule takes nothing away by being the first.
    ///
    /// # Errors
    /// No id, a part that is too long or empty, an id that is taken, a namespace that is full or
    /// cannot be one. Of several that make the same rule at the same time, one succeeds.
    pub async fn create(&self, namespace: &str, rule: Rule) -> Result<(), RuleError> {
        namespace::check(namespace)?;
        limits::check(&rule)?;
        for _ in 0..ATTEMPTS {
            let stored = self.stored(namespace).await?;
            let default = stored.is_empty().then(Rule::default_rule);
            if stored.iter().chain(&default).any(|own| own.id == rule.id) {
                return Err(RuleError::IdTaken);
            }
            if stored.len() >= MAX_RULES {
                return Err(RuleError::TooMany(stored.len()));
            }
            let mut commit = insertion(Commit::new(), namespace, &rule);
            if let Some(default) = &default {
                commit = insertion(commit, namespace, default);
            }
            match self.records.commit_and_tell(commit).await {
                Err(error) if error.is_conflict() => {}
                result => return Ok(result?),
            }
        }
        Err(RuleError::Contended)
    }

    /// Deletes a rule; no error if there is none of this id. A namespace whose last rule goes has
    /// the default rule again.
    ///
    /// # Errors
    /// No id; a namespace that cannot be one; a store that fails.
    pub async fn delete(&self, namespace: &str, id: &str) -> Result<(), RuleError> {
        namespace::check(namespace)?;
        if id.is_empty() {
            return Err(RuleError::IdMissing);
        }
        let key = key(namespace, id);
        let found: Option<(Rule, Version)> = self.records.read(RULES, &key).await?;
        if found.is_none() {
            // Nobody need read their rules anew because of nothing.
            return Ok(());
        }
        let deletion = Commit::new().delete(RULES, key, Precondition::Any);
        Ok(self.records.commit_and_tell(deletion).await?)
    }

    async fn stored(&self, namespace: &str) -> Result<Vec<Rule>, RecordError> {
        self.records.list(RULES, &key(namespace, "")).await
    }
}

/// The write that makes a rule unless there is one of its id.
fn insertion(commit: Commit, namespace: &str, rule: &Rule) -> Commit {
    commit.put(
        RULES,
        key(namespace, &rule.id),
        Precondition::Absent,
        put(rule),
    )
}

fn key(namespace: &str, id: &str) -> String {
    format!("rules/{namespace}/{id}")
}
