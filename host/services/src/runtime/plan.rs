//! What somebody wants to have run: kept in the service's record, so that it can be run again.

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

/// What is to be run. Its `Debug` output names the variables of the environment and not their
/// values, which may be secrets.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Plan {
    /// The namespace and key of the blob that holds the source.
    pub(crate) source: (String, String),
    /// A folder below the source's top, or empty.
    pub(crate) entrypoint: PathBuf,
    /// What the user wants to run instead of what was found; empty for that.
    pub(crate) command: Vec<String>,
    /// Further arguments.
    pub(crate) arguments: Vec<String>,
    /// What the user wants in the environment.
    pub(crate) env: BTreeMap<String, String>,
    /// How long the service may take from its start to its first good health check.
    pub(crate) start_timeout: Duration,
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("source", &self.source)
            .field("entrypoint", &self.entrypoint)
            .field("command", &self.command)
            .field("arguments", &self.arguments)
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .field("start_timeout", &self.start_timeout)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_shows_no_secrets() {
        let plan = Plan {
            env: BTreeMap::from([("TOKEN".to_owned(), "hunter2".to_owned())]),
            ..Plan::default()
        };
        let shown = format!("{plan:?}");
        assert!(
            shown.contains("TOKEN") && !shown.contains("hunter2"),
            "{shown}"
        );
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    }
}
