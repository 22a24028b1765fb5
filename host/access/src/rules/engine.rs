//! What rules decide about a call.

use std::cmp::Reverse;

use super::{Effect, Rule};
use crate::Account;

const ANY: &str = "*";
const ANY_ISSUER: &str = "+";

/// The rules of a namespace, in the order in which they are tried.
#[derive(Clone, Debug, Default)]
pub struct RuleSet(Vec<Rule>);

impl RuleSet {
    /// These rules: those of a higher priority first, those of the same in the order given.
    pub fn new(mut rules: Vec<Rule>) -> Self {
        rules.sort_by_key(|rule| Reverse(rule.priority));
        Self(rules)
    }

    /// Whether `account` (`None`: an anonymous caller) may call the endpoint `endpoint` of the
    /// `kind` of resource called `name`, in `namespace`. The first rule that applies decides;
    /// where none does, the answer is no.
    pub fn allows(
        &self,
        account: Option<&Account>,
        kind: &str,
        name: &str,
        endpoint: &str,
        namespace: &str,
    ) -> bool {
        self.0
            .iter()
            .filter(|rule| {
                let resource = &rule.resource;
                matches(&resource.kind, kind)
                    && matches(&resource.name, name)
                    && matches_endpoint(&resource.endpoint, endpoint)
            })
            .find_map(|rule| decide(rule, account, namespace))
            .unwrap_or(false)
    }
}

/// What one rule says about a caller; `None` if it is not about them.
fn decide(rule: &Rule, account: Option<&Account>, namespace: &str) -> Option<bool> {
    let effect = Some(rule.access == Effect::Granted);
    if rule.scope.is_empty() {
        return effect;
    }
    let account = account?;
    if rule.scope == ANY_ISSUER {
        return effect;
    }
    if account.issuer != namespace {
        return Some(false);
    }
    if rule.scope == ANY || account.has_scope(&rule.scope) {
        return effect;
    }
    None
}

fn matches(pattern: &str, text: &str) -> bool {
    pattern == ANY || same(pattern, text)
}

/// As [`matches`]; and `/a/*` is every path below `/a`.
fn matches_endpoint(pattern: &str, endpoint: &str) -> bool {
    if matches(pattern, endpoint) {
        return true;
    }
    let Some(folder) = pattern.strip_suffix(ANY).filter(|f| f.ends_with('/')) else {
        return false;
    };
    let slashes = folder.matches('/').count();
    let beginning = endpoint
        .match_indices('/')
        .nth(slashes - 1)
        .map(|(at, _)| &endpoint[..=at]);
    beginning.is_some_and(|beginning| same(folder, beginning))
}

/// Whether two texts differ in case at most.
fn same(a: &str, b: &str) -> bool {
    if a.is_ascii() && b.is_ascii() {
        a.eq_ignore_ascii_case(b)
    } else {
        a.to_lowercase() == b.to_lowercase()
    }
}

#[cfg(test)]
mod tests;
