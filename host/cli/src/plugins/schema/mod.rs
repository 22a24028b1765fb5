//! The JSON schema of a plugin's settings: what it says to a reader, and whether settings fit it.

mod check;
mod table;

use serde_json::Value;

pub(crate) use check::check;
pub(crate) use table::{Setting, settings};

/// Deeper than any settings: a schema may refer to itself.
const DEPTH: usize = 16;

/// What a schema refers to, or itself.
fn target<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let mut schema = schema;
    for _ in 0..DEPTH {
        let reference = schema.get("$ref").and_then(Value::as_str);
        match reference.and_then(|it| root.pointer(it.strip_prefix('#')?)) {
            Some(target) => schema = target,
            None => break,
        }
    }
    schema
}

/// The alternatives of a schema, if it has any; that there may be nothing is none of them.
fn alternatives<'a>(root: &'a Value, schema: &'a Value) -> Vec<&'a Value> {
    ["anyOf", "oneOf"]
        .into_iter()
        .filter_map(|key| schema.get(key)?.as_array())
        .flatten()
        .map(|one| target(root, one))
        .filter(|one| one.get("type").and_then(Value::as_str) != Some("null"))
        .collect()
}

/// The types that a schema names, but for the one that is nothing.
fn types(schema: &Value) -> Vec<&str> {
    let named = match schema.get("type") {
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    named.into_iter().filter(|name| *name != "null").collect()
}

/// The values that a schema lists.
fn values(schema: &Value) -> Vec<&Value> {
    let listed = schema.get("enum").and_then(Value::as_array);
    let single = schema.get("const");
    listed.into_iter().flatten().chain(single).collect()
}

fn dotted(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}
