//! What a plugin promises beyond the contract of its modules, and what it lacks of it.

use serde::{Deserialize, Serialize};

/// What a plugin declares in `export_plugin!`. It stands in the plugin's metadata, which is read
/// without running any of its code; the conformance suites go by it.
///
/// Names are those of rules or of groups of rules, such as `store.watch` for every rule whose name
/// begins with `store.watch.`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Capabilities {
    /// What it promises that not every backend can: some of [`Capabilities::BEYOND`].
    pub promises: Vec<String>,
    /// What the contract promises, and it does not.
    pub lacks: Vec<String>,
}

impl Capabilities {
    /// What a plugin may promise beyond the contract. `durable`: what was acknowledged is there
    /// when the backend is opened again. `shared`: instances with the same settings, in whichever
    /// processes, work on the same data.
    pub const BEYOND: [&str; 8] = [
        "store.durable",
        "store.shared",
        "blob.durable",
        "blob.shared",
        "stream.durable",
        "stream.shared",
        "broker.shared",
        "registry.shared",
    ];

    /// Why the rule of this name is not to be held against the plugin: the capability that it does
    /// not have. `None` if the rule is promised.
    pub fn without(&self, rule: &str) -> Option<&str> {
        let lacking = self.lacks.iter().find(|name| Self::covers(name, rule));
        lacking.map(String::as_str).or_else(|| {
            let promised = |name: &str| self.promises.iter().any(|promise| promise == name);
            let mut beyond = Self::BEYOND.into_iter();
            beyond.find(|name| Self::covers(name, rule) && !promised(name))
        })
    }

    /// Whether `name` is the rule's name, or that of a group it belongs to.
    pub fn covers(name: &str, rule: &str) -> bool {
        rule.strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_held_against_a_plugin_unless_its_capability_is_absent() {
        let capabilities = Capabilities {
            promises: vec!["store.durable".to_owned()],
            lacks: vec!["store.watch".to_owned(), "store.list.odd".to_owned()],
        };
        for (rule, without) in [
            ("store.read.absent", None),
            ("store.watch.in-order", Some("store.watch")),
            ("store.watchers.many", None),
            ("store.list.odd", Some("store.list.odd")),
            ("store.durable.records", None),
            ("store.shared.records", Some("store.shared")),
        ] {
            assert_eq!(capabilities.without(rule), without, "{rule}");
        }
    }
}
