//! Settings: JSON text into the author's type, with errors that name the key and quote no value.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{Error, Host, Result, abi::schema::secret_settings, userinfo};

/// The schema of the settings that a constructor takes.
pub fn schema_of<F, S, R>(_constructor: F) -> Value
where
    F: FnOnce(S, Host) -> R,
    S: JsonSchema,
{
    schema::<S>().to_value()
}

fn schema<S: JsonSchema>() -> Schema {
    SchemaGenerator::default().into_root_schema_for::<S>()
}

/// Reads settings. The error says which key is wrong, in its text and, for the host, in its
/// detail: `{"setting": KEY, "problem": "unknown" | "missing" | "invalid"}`.
pub(super) fn read<S: DeserializeOwned + JsonSchema>(text: &str) -> Result<S> {
    let reader = &mut serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(reader).map_err(|error| {
        let path = error.path().to_string();
        let path = if path == "." { "" } else { &path };
        explain(
            path,
            &error.into_inner().to_string(),
            &secret_settings(schema::<S>().as_value()),
        )
    })
}

fn explain(path: &str, problem: &str, secrets: &[String]) -> Error {
    // The position is one in JSON text that nobody wrote.
    let problem = problem
        .rsplit_once(" at line ")
        .map_or(problem, |(text, _)| text);
    let (kind, key, text) = if let Some((name, rest)) = field(problem, "unknown field `") {
        let key = join(path, name);
        let text = format!("unknown setting `{key}`{rest}");
        ("unknown", key, text)
    } else if let Some((name, _)) = field(problem, "missing field `") {
        let key = join(path, name);
        let text = format!("the setting `{key}` is missing");
        ("missing", key, text)
    } else if is_secret(path, secrets) {
        let text =
            format!("the setting `{path}` is wrong (it is secret, so its value is not shown)");
        ("invalid", path.to_owned(), text)
    } else if path.is_empty() {
        let text = format!("the settings are wrong: {}", unquoted(problem));
        ("invalid", String::new(), text)
    } else {
        let text = format!("the setting `{path}` is wrong: {}", unquoted(problem));
        ("invalid", path.to_owned(), text)
    };
    Error::invalid(text).with_detail(json!({"setting": key, "problem": kind}).to_string())
}

/// What serde says of a value, without the value: a secret may stand where none is expected.
fn unquoted(problem: &str) -> Cow<'_, str> {
    for start in ["invalid type: ", "invalid value: "] {
        let parts = problem.strip_prefix(start);
        if let Some((found, wanted)) = parts.and_then(|parts| parts.rsplit_once(", expected ")) {
            let kind = found.split(['"', '`']).next().unwrap_or_default().trim();
            return Cow::Owned(format!("{start}{kind}, expected {wanted}"));
        }
    }
    match problem.strip_prefix("unknown variant `") {
        Some(rest) => match rest.split_once("`, expected ") {
            Some((_, wanted)) => Cow::Owned(format!("unknown variant, expected {wanted}")),
            None => Cow::Borrowed("unknown variant"),
        },
        None => userinfo::hide_in_text(problem),
    }
}

fn field<'a>(problem: &'a str, start: &str) -> Option<(&'a str, &'a str)> {
    problem.strip_prefix(start)?.split_once('`')
}

/// `path` may end with `name` already: it depends on where in the document serde noticed.
fn join(path: &str, name: &str) -> String {
    if path.is_empty() || path == name || path.ends_with(&format!(".{name}")) {
        if path.is_empty() { name } else { path }.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// Whether a value at `path` may hold, or lie in, a secret.
fn is_secret(path: &str, secrets: &[String]) -> bool {
    let plain = without_indices(path);
    secrets.iter().any(|secret| {
        plain.is_empty()
            || secret == &plain
            || secret.starts_with(&format!("{plain}."))
            || plain.starts_with(&format!("{secret}."))
    })
}

/// `nodes[2].password` is `nodes.password` in [`secret_settings`].
fn without_indices(path: &str) -> String {
    let mut inside = false;
    path.chars()
        .filter(|c| {
            inside = match c {
                '[' => true,
                ']' => {
                    inside = false;
                    return false;
                }
                _ => inside,
            };
            !inside
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::{Code, Secret};

    #[derive(Deserialize, JsonSchema, Debug)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Settings {
        port: u16,
        #[serde(default)]
        password: Option<Secret>,
        #[serde(default)]
        nodes: Vec<Node>,
    }

    #[derive(Deserialize, JsonSchema, Debug)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Node {
        address: String,
        #[serde(default)]
        token: Option<Secret>,
    }

    #[test]
    fn what_is_wrong_is_named_by_its_key() {
        for (text, message, detail) in [
            (
                r#"{"port":1,"colour":2}"#,
                "unknown setting `colour`, expected one of `port`, `password`, `nodes`",
                r#"{"setting":"colour","problem":"unknown"}"#,
            ),
            (
                r#"{"port":1,"nodes":[{"address":"a","x":1}]}"#,
                "unknown setting `nodes[0].x`, expected `address` or `token`",
                r#"{"setting":"nodes[0].x","problem":"unknown"}"#,
            ),
            (
                "{}",
                "the setting `port` is missing",
                r#"{"setting":"port","problem":"missing"}"#,
            ),
            (
                r#"{"port":"eighty"}"#,
                r#"the setting `port` is wrong: invalid type: string, expected u16"#,
                r#"{"setting":"port","problem":"invalid"}"#,
            ),
            (
                r#"{"port":1,"nodes":[{"address":"a","token":77}]}"#,
                "the setting `nodes[0].token` is wrong (it is secret, so its value is not shown)",
                r#"{"setting":"nodes[0].token","problem":"invalid"}"#,
            ),
        ] {
            let error = read::<Settings>(text).unwrap_err();
            assert_eq!(error.code(), Code::INVALID);
            assert_eq!(error.message(), message);
            assert_eq!(error.detail(), Some(detail));
        }
    }

    #[test]
    fn no_value_is_quoted() {
        for (problem, shown) in [
            (
                "invalid type: string \"a, expected b\", expected a sequence",
                "invalid type: string, expected a sequence",
            ),
            (
                "invalid type: integer `17`, expected a string",
                "invalid type: integer, expected a string",
            ),
            (
                "invalid type: sequence, expected a string",
                "invalid type: sequence, expected a string",
            ),
            (
                "invalid value: string \"hunter2\", expected 10s or 5m",
                "invalid value: string, expected 10s or 5m",
            ),
            (
                "unknown variant `hunter2`, expected `a` or `b`",
                "unknown variant, expected `a` or `b`",
            ),
            ("odd: nats://me:mine@host", "odd: nats://***@host"),
        ] {
            assert_eq!(unquoted(problem), shown);
        }
    }

    #[test]
    fn secret_keys_are_known_from_the_schema() {
        assert_eq!(
            secret_settings(schema::<Settings>().as_value()),
            ["nodes.token", "password"]
        );
    }
}
