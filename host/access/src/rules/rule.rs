//! One rule: who may call what.

use serde::{Deserialize, Serialize};

/// What is called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// `service`, or `*` for everything.
    #[serde(rename = "type")]
    pub kind: String,
    /// The name of the service, or `*`.
    pub name: String,
    /// `Handler.Method`, a path, `*`, or `/a/*` for every path below `/a`.
    pub endpoint: String,
}

/// What a rule that applies decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Effect {
    /// The call may go on.
    Granted,
    /// It may not.
    Denied,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Unique within the namespace.
    pub id: String,
    /// Whom it is about: empty for everybody, `*` for every account of the namespace, `+` for
    /// every account of any namespace, else the accounts that have this scope.
    pub scope: String,
    /// What it is about.
    pub resource: Resource,
    /// What it decides.
    pub access: Effect,
    /// The larger goes first.
    pub priority: i32,
}

impl Rule {
    /// The rule that every namespace begins with: anybody may call anything.
    pub fn default_rule() -> Self {
        Self {
            id: "default".to_owned(),
            scope: String::new(),
            resource: Resource {
                kind: "*".to_owned(),
                name: "*".to_owned(),
                endpoint: "*".to_owned(),
            },
            access: Effect::Granted,
            priority: 0,
        }
    }
}
