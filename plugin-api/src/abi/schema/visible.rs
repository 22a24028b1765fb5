//! Which values of settings may be seen: those that a schema knows and does not call secret, without
//! what a URL says of its user.

use serde_json::Value;

use super::{DEPTH, alternatives, dotted, secret_settings, target};
use crate::userinfo;

/// Whether the value at a dotted path (without positions in arrays) must not be shown: it is, lies
/// in or stands in the place of a secret, or the schema does not know it, so that nobody can say
/// what it is. A misspelt `password` is one that nobody knows.
pub fn hides(schema: &Value, path: &str) -> bool {
    let secrets = secret_settings(schema);
    let is_secret = secrets
        .iter()
        .any(|secret| covers(secret, path) || covers(path, secret));
    is_secret || !knows(schema, schema, &path.split('.').collect::<Vec<_>>(), 0)
}

/// Whether what lies at `path` lies at or below `outer`; `*` stands for any key.
fn covers(outer: &str, path: &str) -> bool {
    let mut path = path.split('.');
    outer.split('.').all(|part| {
        path.next()
            .is_some_and(|key| part == "*" || key == "*" || part == key)
    })
}

fn knows(root: &Value, schema: &Value, path: &[&str], depth: usize) -> bool {
    let [key, below @ ..] = path else {
        return true;
    };
    if depth > DEPTH {
        return false;
    }
    let schema = target(root, schema);
    let properties = schema.get("properties");
    let property = properties.and_then(|properties| properties.get(key));
    let others = schema.get("additionalProperties");
    let others = others.filter(|others| others.is_object());
    if let Some(inner) = property.or(others)
        && knows(root, inner, below, depth + 1)
    {
        return true;
    }
    let parts = schema.get("allOf").and_then(Value::as_array);
    let beside = parts.into_iter().flatten().chain(schema.get("items"));
    beside
        .chain(alternatives(root, schema))
        .any(|other| knows(root, other, path, depth + 1))
}

/// A text about settings without those of their values that must not be shown.
pub fn redacted(schema: &Value, settings: &Value, text: &str) -> String {
    let mut found = Vec::new();
    collect(schema, settings, "", &mut found);
    // What contains another one goes first.
    found.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
    let mut text = text.to_owned();
    for (value, shown) in found {
        text = text.replace(&value, &shown);
    }
    userinfo::hide_in_text(&text).into_owned()
}

/// The values that must not be shown, each as a text may quote it, with what to show instead.
fn collect(schema: &Value, value: &Value, path: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(table) => {
            for (key, value) in table {
                collect(schema, value, &dotted(path, key), found);
            }
        }
        Value::Array(list) => {
            for item in list {
                collect(schema, item, path, found);
            }
        }
        Value::String(text) if !text.is_empty() => {
            let shown = if hides(schema, path) {
                "***".into()
            } else {
                userinfo::hide_in_value(text)
            };
            if *text != shown {
                let quoted = [
                    format!("{text:?}"),
                    format!("`{text}`"),
                    format!("'{text}'"),
                ];
                found.extend(quoted.map(|quoted| (quoted, format!("\"{shown}\""))));
                // A short one may be part of any word.
                let bare = (text.len() > 3).then(|| (text.clone(), shown.into_owned()));
                found.extend(bare);
            }
        }
        // A short number may be part of anything; one that is long is nobody's size or time.
        Value::Number(number) if hides(schema, path) => {
            let text = number.to_string();
            found.extend((text.len() > 3).then(|| (text, "***".to_owned())));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        json!({
            "type": "object",
            "$defs": {
                "Node": {"type": "object", "properties": {
                    "address": {"type": "string"}, "token": {"type": "string", "secret": true},
                }},
            },
            "properties": {
                "password": {"anyOf": [{"type": "string", "secret": true}, {"type": "null"}]},
                "urls": {"anyOf": [
                    {"type": "string"}, {"type": "array", "items": {"type": "string"}},
                ]},
                "nodes": {"type": "object", "additionalProperties": {"$ref": "#/$defs/Node"}},
                "list": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
                "any": true,
            },
        })
    }

    #[test]
    fn what_is_secret_or_unknown_is_hidden() {
        for (path, hidden) in [
            ("password", true),
            ("password.part", true),
            ("passwrod", true),
            ("urls", false),
            ("urls.part", true),
            ("nodes.a.address", false),
            ("nodes.a.token", true),
            ("nodes.a.tokne", true),
            ("list.address", false),
            ("list.token", true),
            ("any", false),
            ("any.part", true),
            // One that stands where a secret would be.
            ("nodes", true),
            ("list", true),
        ] {
            assert_eq!(hides(&schema(), path), hidden, "{path}");
        }
    }

    #[test]
    fn a_text_quotes_nothing_that_is_hidden() {
        let settings = json!({
            "password": "hun\"ter2", "passwrod": "hunter3", "pin": 123_456, "short": "x",
            "urls": ["nats://me:hunter4@a:1", "me:hunter5@b"],
        });
        let text = format!(
            "{:?} and hunter3, `x` for x, 123456: nats://me:hunter4@a:1 and {:?}, but a:1",
            "hun\"ter2", "me:hunter5@b"
        );
        assert_eq!(
            redacted(&schema(), &settings, &text),
            "\"***\" and ***, \"***\" for x, ***: nats://***@a:1 and \"***@b\", but a:1"
        );
    }
}
