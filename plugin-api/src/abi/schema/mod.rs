//! The JSON schema of a plugin's settings: whether settings fit it, and which of them may be seen.

mod check;
mod secret;
mod visible;

use serde_json::Value;

pub use check::{Problem, check};
pub use secret::secret_settings;
pub use visible::{hides, redacted};

/// Deeper than any settings: a schema may refer to itself.
pub const DEPTH: usize = 16;

/// What a schema refers to, or itself.
pub fn target<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
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
pub fn alternatives<'a>(root: &'a Value, schema: &'a Value) -> Vec<&'a Value> {
    ["anyOf", "oneOf"]
        .into_iter()
        .filter_map(|key| schema.get(key)?.as_array())
        .flatten()
        .map(|one| target(root, one))
        .filter(|one| one.get("type").and_then(Value::as_str) != Some("null"))
        .collect()
}

/// The types that a schema names, but for the one that is nothing.
pub fn types(schema: &Value) -> Vec<&str> {
    let named = match schema.get("type") {
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    named.into_iter().filter(|name| *name != "null").collect()
}

/// The values that a schema lists.
pub fn values(schema: &Value) -> Vec<&Value> {
    let listed = schema.get("enum").and_then(Value::as_array);
    let single = schema.get("const");
    listed.into_iter().flatten().chain(single).collect()
}

/// A key within another one.
pub fn dotted(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}
