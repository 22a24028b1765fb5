//! Which settings a schema calls secret.

use serde_json::Value;

use super::{DEPTH, dotted};

/// The keys that a settings schema marks as secret (`"secret": true`), as dotted paths. Array
/// items have the path of their array; an object of any keys has `*` for a key.
pub fn secret_settings(schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect(schema, schema, "", 0, &mut found);
    found.sort();
    found.dedup();
    found
}

fn collect(root: &Value, schema: &Value, path: &str, depth: usize, found: &mut Vec<String>) {
    if depth > DEPTH {
        return;
    }
    if schema.get("secret") == Some(&Value::Bool(true)) {
        found.push(path.to_owned());
        return;
    }
    let mut go = |schema: &Value, path: &str| collect(root, schema, path, depth + 1, found);
    if let Some(target) = schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|reference| root.pointer(reference.strip_prefix('#')?))
    {
        go(target, path);
    }
    for (key, property) in schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        go(property, &dotted(path, key));
    }
    if let Some(values) = schema.get("additionalProperties").filter(|v| v.is_object()) {
        go(values, &dotted(path, "*"));
    }
    if let Some(items) = schema.get("items") {
        go(items, path);
    }
    for alternatives in ["allOf", "anyOf", "oneOf", "prefixItems"] {
        for alternative in schema
            .get(alternatives)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            go(alternative, path);
        }
    }
}
