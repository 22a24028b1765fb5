//! The settings that a schema describes, as rows for a reader.

use micro_plugin_api::__abi::schema::{DEPTH, alternatives, dotted, target, types, values};
use serde::Serialize;
use serde_json::Value;

/// One setting.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Setting {
    /// Its dotted key; `*` stands for any key.
    pub(crate) name: String,
    /// Its type in a word or two.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// Whether it must be given.
    pub(crate) required: bool,
    /// What holds where it is not given; that of a secret is not told.
    pub(crate) default: Option<Value>,
    /// Whether its value is never shown.
    pub(crate) secret: bool,
    /// What it is for, on one line.
    pub(crate) description: String,
}

/// Every setting of a schema, in its order.
pub(crate) fn settings(schema: &Value) -> Vec<Setting> {
    let mut rows = Vec::new();
    collect(schema, schema, "", 0, &mut rows);
    rows
}

fn collect(root: &Value, schema: &Value, path: &str, depth: usize, rows: &mut Vec<Setting>) {
    if depth > DEPTH {
        return;
    }
    let required = schema.get("required").and_then(Value::as_array);
    let is_required = |key: &str| required.is_some_and(|all| all.iter().any(|one| one == key));
    let properties = schema.get("properties").and_then(Value::as_object);
    for (key, property) in properties.into_iter().flatten() {
        row(
            root,
            property,
            &dotted(path, key),
            is_required(key),
            depth,
            rows,
        );
    }
    if let Some(any) = schema
        .get("additionalProperties")
        .filter(|any| any.is_object())
    {
        row(root, any, &dotted(path, "*"), false, depth, rows);
    }
}

/// The row of one property, or the rows of what is in it.
fn row(
    root: &Value,
    property: &Value,
    name: &str,
    required: bool,
    depth: usize,
    rows: &mut Vec<Setting>,
) {
    let whole = unwrapped(root, property);
    if is_object(whole) {
        return collect(root, whole, name, depth + 1, rows);
    }
    let secret = [property, whole]
        .iter()
        .any(|one| one.get("secret") == Some(&Value::Bool(true)));
    let text = |key: &str| property.get(key).or_else(|| whole.get(key));
    let description = text("description").and_then(Value::as_str);
    rows.push(Setting {
        name: name.to_owned(),
        kind: if secret {
            "secret".to_owned()
        } else {
            kind(root, property, 0)
        },
        required,
        default: text("default").filter(|_| !secret).cloned(),
        secret,
        description: description
            .unwrap_or_default()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" "),
    });
    // A list of tables: what is in each of them.
    let items = whole.get("items").map(|items| unwrapped(root, items));
    if let Some(items) = items.filter(|items| is_object(items)) {
        collect(root, items, name, depth + 1, rows);
    }
}

/// What a property is where it is there: the one alternative to nothing.
fn unwrapped<'a>(root: &'a Value, property: &'a Value) -> &'a Value {
    let whole = target(root, property);
    match alternatives(root, whole)[..] {
        [one] => one,
        _ => whole,
    }
}

fn is_object(schema: &Value) -> bool {
    let open = schema.get("additionalProperties");
    schema.get("properties").is_some_and(Value::is_object) || open.is_some_and(Value::is_object)
}

/// The type in a word or two.
fn kind(root: &Value, schema: &Value, depth: usize) -> String {
    let schema = unwrapped(root, schema);
    if depth > DEPTH {
        return "any".to_owned();
    }
    let listed = values(schema);
    if !listed.is_empty() {
        let words = listed.into_iter().map(|value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        return words.collect::<Vec<_>>().join(" | ");
    }
    let several = alternatives(root, schema);
    if !several.is_empty() {
        let kinds = several.into_iter().map(|one| kind(root, one, depth + 1));
        return kinds.collect::<Vec<_>>().join(" | ");
    }
    let names = types(schema).into_iter().map(|name| match name {
        "array" => {
            let items = schema.get("items").unwrap_or(&Value::Null);
            format!("list of {}", kind(root, items, depth + 1))
        }
        "object" => "table".to_owned(),
        other => other.to_owned(),
    });
    let names = names.collect::<Vec<_>>().join(" | ");
    if names.is_empty() {
        "any".to_owned()
    } else {
        names
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_reads_as_rows() {
        let schema = json!({
            "type": "object",
            "required": ["port"],
            "$defs": {
                "Mode": {"oneOf": [{"const": "fast"}, {"const": "safe"}]},
                "Tls": {"type": "object", "properties": {"ca": {"type": ["string", "null"]}}},
            },
            "properties": {
                "port": {"type": "integer", "description": "Where\nit listens."},
                "mode": {"$ref": "#/$defs/Mode", "default": "fast"},
                "password": {"anyOf": [
                    {"type": "string", "secret": true, "default": "hush"}, {"type": "null"},
                ]},
                "tls": {"anyOf": [{"$ref": "#/$defs/Tls"}, {"type": "null"}]},
                "hosts": {"anyOf": [
                    {"type": "string"}, {"type": "array", "items": {"type": "string"}},
                ]},
            },
        });
        let rows = settings(&schema);
        let shown: Vec<_> = rows
            .iter()
            .map(|row| (row.name.as_str(), row.kind.as_str(), row.required))
            .collect();
        assert_eq!(
            shown,
            [
                ("port", "integer", true),
                ("mode", "fast | safe", false),
                ("password", "secret", false),
                ("tls.ca", "string", false),
                ("hosts", "string | list of string", false),
            ]
        );
        assert_eq!(rows[0].description, "Where it listens.");
        assert_eq!(rows[1].default, Some(json!("fast")));
        assert_eq!((rows[2].secret, &rows[2].default), (true, &None));
    }
}
