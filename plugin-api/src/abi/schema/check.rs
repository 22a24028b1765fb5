//! Whether settings fit a schema, as far as a schema can say: unknown and missing keys, types, lists
//! of values and bounds. What a plugin checks beyond that, it says when it opens. No value is part of
//! a complaint, since it may be secret.

use serde_json::Value;

use super::{DEPTH, alternatives, dotted, target, types, values};

/// One thing that is wrong with settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The dotted key, with positions in arrays.
    pub key: String,
    /// What is wrong with it.
    pub message: String,
}

/// What is wrong with `settings`.
pub fn check(schema: &Value, settings: &Value) -> Vec<Problem> {
    let checker = Checker { root: schema };
    let mut problems = Vec::new();
    checker.value(schema, settings, "", 0, &mut problems);
    problems
}

struct Checker<'a> {
    root: &'a Value,
}

impl Checker<'_> {
    fn value(
        &self,
        schema: &Value,
        value: &Value,
        key: &str,
        depth: usize,
        problems: &mut Vec<Problem>,
    ) {
        let schema = target(self.root, schema);
        if depth > DEPTH {
            return;
        }
        for part in schema
            .get("allOf")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            self.value(part, value, key, depth + 1, problems);
        }
        let several = alternatives(self.root, schema);
        if !several.is_empty() {
            return self.any_of(&several, value, key, depth, problems);
        }
        let mut complain = |message: String| {
            let key = key.to_owned();
            problems.push(Problem { key, message });
        };
        let kinds = types(schema);
        if !kinds.is_empty() && !kinds.iter().any(|kind| is_of(kind, value)) {
            let wanted: Vec<_> = kinds.into_iter().map(with_article).collect();
            let found = with_article(type_of(value));
            return complain(format!("must be {}, not {found}", wanted.join(" or ")));
        }
        let allowed = values(schema);
        if !allowed.is_empty() && !allowed.contains(&value) {
            let words: Vec<_> = allowed.iter().map(ToString::to_string).collect();
            return complain(format!("must be one of {}", words.join(", ")));
        }
        if let Some(number) = value.as_f64() {
            let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
            if let Some(least) = bound("minimum").filter(|least| number < *least) {
                complain(format!("must be at least {least}"));
            }
            if let Some(most) = bound("maximum").filter(|most| number > *most) {
                complain(format!("must be at most {most}"));
            }
        }
        match value {
            Value::Object(table) => self.table(schema, table, key, depth, problems),
            Value::Array(list) => {
                let Some(items) = schema.get("items") else {
                    return;
                };
                for (index, item) in list.iter().enumerate() {
                    self.value(items, item, &format!("{key}[{index}]"), depth + 1, problems);
                }
            }
            _ => {}
        }
    }

    /// It must fit one of them. Where only one is of its type, the complaints are that one's.
    fn any_of(
        &self,
        several: &[&Value],
        value: &Value,
        key: &str,
        depth: usize,
        problems: &mut Vec<Problem>,
    ) {
        let mut complaints: Vec<(bool, Vec<Problem>)> = Vec::new();
        for one in several {
            let mut found = Vec::new();
            self.value(one, value, key, depth + 1, &mut found);
            if found.is_empty() {
                return;
            }
            let kinds = types(one);
            let fits = kinds.is_empty() || kinds.iter().any(|kind| is_of(kind, value));
            complaints.push((fits, found));
        }
        let mut fitting = complaints.iter().filter(|(fits, _)| *fits);
        let closest = match (fitting.next(), fitting.next()) {
            (Some((_, found)), None) => Some(found),
            _ if complaints.len() == 1 => complaints.first().map(|(_, found)| found),
            _ => None,
        };
        match closest {
            Some(found) => problems.extend(found.iter().cloned()),
            None => {
                let allowed: Vec<_> = several
                    .iter()
                    .flat_map(|one| values(one))
                    .map(ToString::to_string)
                    .collect();
                let message = if allowed.is_empty() {
                    "is none of what it may be; `micro plugin inspect` says what that is".to_owned()
                } else {
                    format!("must be one of {}", allowed.join(", "))
                };
                let key = key.to_owned();
                problems.push(Problem { key, message });
            }
        }
    }

    fn table(
        &self,
        schema: &Value,
        table: &serde_json::Map<String, Value>,
        key: &str,
        depth: usize,
        problems: &mut Vec<Problem>,
    ) {
        let none = serde_json::Map::new();
        let known = schema
            .get("properties")
            .and_then(Value::as_object)
            .unwrap_or(&none);
        let others = schema.get("additionalProperties");
        for (name, value) in table {
            let inner = dotted(key, name);
            match (known.get(name), others) {
                (Some(property), _) => self.value(property, value, &inner, depth + 1, problems),
                (None, Some(Value::Bool(false))) => problems.push(Problem {
                    key: inner,
                    message: match known.keys().map(String::as_str).collect::<Vec<_>>()[..] {
                        [] => "unknown setting; there are none".to_owned(),
                        ref keys => format!("unknown setting; there are {}", keys.join(", ")),
                    },
                }),
                (None, Some(any)) if any.is_object() => {
                    self.value(any, value, &inner, depth + 1, problems);
                }
                (None, _) => {}
            }
        }
        let required = schema.get("required").and_then(Value::as_array);
        for name in required.into_iter().flatten().filter_map(Value::as_str) {
            if !table.contains_key(name) {
                problems.push(Problem {
                    key: dotted(key, name),
                    message: "is missing".to_owned(),
                });
            }
        }
    }
}

fn is_of(kind: &str, value: &Value) -> bool {
    match kind {
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        other => type_of(value) == other,
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// A type in the words of a manifest.
fn with_article(kind: &str) -> String {
    match kind {
        "integer" => "an integer".to_owned(),
        "array" => "a list".to_owned(),
        "object" => "a table".to_owned(),
        other => format!("a {other}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn says(settings: Value, expected: &[(&str, &str)]) {
        let schema = json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["path"],
            "$defs": {"Mode": {"oneOf": [{"type": "string", "const": "a"}, {"type": "string", "const": "b"}]}},
            "properties": {
                "path": {"type": "string"},
                "size": {"type": ["integer", "null"], "minimum": 1, "maximum": 9},
                "mode": {"$ref": "#/$defs/Mode"},
                "hosts": {"anyOf": [
                    {"type": "string"}, {"type": "array", "items": {"type": "string"}},
                ]},
                "tls": {"anyOf": [
                    {"type": "object", "additionalProperties": false, "properties": {"ca": {"type": "string"}}},
                    {"type": "null"},
                ]},
                "tags": {"type": "object", "additionalProperties": {"type": "boolean"}},
            },
        });
        let problems = check(&schema, &settings);
        let found: Vec<_> = problems
            .iter()
            .map(|problem| (problem.key.as_str(), problem.message.as_str()))
            .collect();
        assert_eq!(found, expected, "{settings}");
    }

    #[test]
    fn what_fits_is_not_complained_of() {
        says(
            json!({
                "path": "p", "size": 3, "mode": "b", "hosts": ["a", "b"], "tls": {"ca": "c"},
                "tags": {"x": true},
            }),
            &[],
        );
        says(json!({"path": "p", "hosts": "a"}), &[]);
    }

    #[test]
    fn what_does_not_is_named_by_its_key() {
        says(json!({}), &[("path", "is missing")]);
        says(
            json!({"path": 3, "size": 0}),
            &[
                ("path", "must be a string, not an integer"),
                ("size", "must be at least 1"),
            ],
        );
        says(
            json!({"path": "p", "size": 10, "mode": "c", "colour": 1}),
            &[
                ("size", "must be at most 9"),
                ("mode", r#"must be one of "a", "b""#),
                (
                    "colour",
                    "unknown setting; there are path, size, mode, hosts, tls, tags",
                ),
            ],
        );
        says(
            json!({"path": "p", "hosts": ["a", 2], "tls": {"cb": "c"}, "tags": {"x": 1}}),
            &[
                ("hosts[1]", "must be a string, not an integer"),
                ("tls.cb", "unknown setting; there are ca"),
                ("tags.x", "must be a boolean, not an integer"),
            ],
        );
        says(
            json!({"path": "p", "size": 1.5, "hosts": 3}),
            &[
                ("size", "must be an integer, not a number"),
                (
                    "hosts",
                    "is none of what it may be; `micro plugin inspect` says what that is",
                ),
            ],
        );
    }
}
