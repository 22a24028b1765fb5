//! What a plugin says of settings that it does not take, in words that quote none of them.

use micro_plugin_api::__abi::schema::{self, Problem};
use serde_json::Value;

use crate::LoadError;

/// The error of a plugin that was opened with these settings: where its schema can tell what is
/// wrong, all of it and in the words of `micro profile check`, else in the plugin's words, without
/// values that must not be shown.
pub(crate) fn explain(error: LoadError, schema: &Value, settings: &str) -> LoadError {
    let settings = serde_json::from_str(settings).unwrap_or_default();
    let redacted = |text: &str| schema::redacted(schema, &settings, text);
    match error {
        LoadError::Settings { plugin, problems } => {
            let mut known = schema::check(schema, &settings);
            if known.is_empty() {
                let problems = problems.into_iter();
                known.extend(problems.map(|problem| Problem {
                    message: redacted(&problem.message),
                    ..problem
                }));
            }
            LoadError::Settings {
                plugin,
                problems: known,
            }
        }
        LoadError::Open { plugin, source } => LoadError::Open {
            source: source.clone().with_message(redacted(source.message())),
            plugin,
        },
        LoadError::OpenPanic { plugin, reason } => LoadError::OpenPanic {
            reason: redacted(&reason),
            plugin,
        },
        other => other,
    }
}
