//! Query strings as JSON objects: `a=1&b[c]=x&d[]=2&d[]=3&e.f=true`.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

/// How deep a query may nest. JSON readers have such a limit too.
const DEEPEST: usize = 64;

/// Why a query string is no object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum QueryError {
    /// A parameter without `=`.
    #[error("query parameter {0:?} has no value: write {0}=VALUE")]
    NoValue(String),
    /// Escapes that give no text.
    #[error("query parameter {0:?} is not valid UTF-8")]
    NotText(String),
    /// Too many brackets or dots.
    #[error("query parameter {0:?} nests deeper than {DEEPEST} levels")]
    TooDeep(String),
}

/// The object that a query string describes.
///
/// Values that are JSON are taken as such, everything else as text. A key nests by brackets and by
/// dots; empty brackets make a list. Of a repeated scalar the last counts.
pub(crate) fn object(query: &str) -> Result<Map<String, Value>, QueryError> {
    let mut object = Map::new();
    for param in query.split('&').filter(|param| !param.is_empty()) {
        let (key, value) = split(param).ok_or_else(|| QueryError::NoValue(shown(param)))?;
        let key = decode(key).ok_or_else(|| QueryError::NotText(shown(param)))?;
        let value = decode(value).ok_or_else(|| QueryError::NotText(shown(&key)))?;
        let path = steps(&key);
        if path.len() > DEEPEST {
            return Err(QueryError::TooDeep(shown(&key)));
        }
        let mut tree = scalar(value);
        for step in path.into_iter().rev() {
            tree = match step {
                "" => Value::Array(vec![tree]),
                name => Value::Object(Map::from_iter([(name.to_owned(), tree)])),
            };
        }
        if let Value::Object(tree) = tree {
            merge(&mut object, tree);
        }
    }
    Ok(object)
}

/// Divides at the first `=` that is not within brackets, which are a part of the key.
fn split(param: &str) -> Option<(&str, &str)> {
    let bytes = param.as_bytes();
    let mut depth = 0usize;
    for (at, byte) in bytes.iter().enumerate() {
        let escaped = |code: &[u8; 2]| {
            bytes[at + 1..]
                .get(..2)
                .is_some_and(|it| it.eq_ignore_ascii_case(code))
        };
        match byte {
            b'[' => depth += 1,
            b']' => depth = depth.saturating_sub(1),
            b'%' if escaped(b"5B") => depth += 1,
            b'%' if escaped(b"5D") => depth = depth.saturating_sub(1),
            b'=' if depth == 0 => return Some((&param[..at], &param[at + 1..])),
            _ => {}
        }
    }
    // A bracket that is never closed is none.
    param.rsplit_once('=')
}

/// `a.b[c][]` as `a`, `b`, `c` and nothing, which stands for a list.
fn steps(key: &str) -> Vec<&str> {
    let (plain, brackets) = match key.find('[') {
        Some(at) if at > 0 && key.ends_with(']') => key.split_at(at),
        _ => (key, ""),
    };
    let dotted = plain.split('.').all(|name| !name.is_empty());
    let mut steps: Vec<&str> = if dotted {
        plain.split('.').collect()
    } else {
        vec![plain]
    };
    if let Some(inner) = brackets
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        steps.extend(inner.split("]["));
    }
    steps
}

/// A value as JSON if it is JSON, else as text. A number that would not be written the same again
/// (`1.50`, `1e3`, twenty digits) stays text, so that nothing of it is lost where text is wanted;
/// where a number is wanted, text will do.
pub(super) fn scalar(value: String) -> Value {
    match serde_json::from_str(&value) {
        Ok(Value::Number(number)) if number.to_string() != value => Value::String(value),
        Ok(json) => json,
        Err(_) => Value::String(value),
    }
}

fn merge(into: &mut Map<String, Value>, from: Map<String, Value>) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Object(old)), Value::Object(new)) => merge(old, new),
            (Some(Value::Array(old)), Value::Array(new)) => old.extend(new),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

/// Undoes the escapes of a form: `+` is a space.
fn decode(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced)
        .decode_utf8()
        .ok()
        .map(Into::into)
}

/// As much of a parameter as an error should repeat.
fn shown(param: &str) -> String {
    param.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects() {
        for (query, want) in [
            ("", json!({})),
            ("name=Joe", json!({"name": "Joe"})),
            ("name=a&name=b", json!({"name": "b"})),
            ("name=%C3%A9%26", json!({"name": "é&"})),
            ("name=John+D%2B", json!({"name": "John D+"})),
            ("a=xyz&b[c]=456", json!({"a": "xyz", "b": {"c": 456}})),
            ("a%5Bb%5D%5Bc%5D=1", json!({"a": {"b": {"c": 1}}})),
            ("cat[]=1&cat[]=34", json!({"cat": [1, 34]})),
            ("a[b]=1&a[c]=2", json!({"a": {"b": 1, "c": 2}})),
            (
                "meta.limit=20&meta.page=1",
                json!({"meta": {"limit": 20, "page": 1}}),
            ),
            ("a.b[c]=1", json!({"a": {"b": {"c": 1}}})),
            ("a[dog][=cat]=123", json!({"a": {"dog": {"=cat": 123}}})),
            ("value=djE=", json!({"value": "djE="})),
            (
                "a=true&b=null&c=1.5&d=-3",
                json!({"a": true, "b": null, "c": 1.5, "d": -3}),
            ),
            (
                "a=\"quoted\"&b={\"c\":[1]}",
                json!({"a": "quoted", "b": {"c": [1]}}),
            ),
            (
                "a=1.50&b=1e3&c=12345678901234567890123",
                json!({"a": "1.50", "b": "1e3", "c": "12345678901234567890123"}),
            ),
            (
                "a=007&b=say \"hi\"&c=C:\\new",
                json!({"a": "007", "b": "say \"hi\"", "c": "C:\\new"}),
            ),
            ("a=&&b=1&", json!({"a": "", "b": 1})),
            ("a[b=1", json!({"a[b": 1})),
            ("[x]=1&.=2&a..b=3", json!({"[x]": 1, ".": 2, "a..b": 3})),
            ("a=1&a[b]=2", json!({"a": {"b": 2}})),
        ] {
            assert_eq!(object(query).map(Value::Object), Ok(want), "{query}");
        }
    }

    #[test]
    fn refuses() {
        assert_eq!(object("a=1&flag"), Err(QueryError::NoValue("flag".into())));
        assert_eq!(object("a=%ff"), Err(QueryError::NotText("a".into())));
        let deep = format!("a{}=1", "[b]".repeat(DEEPEST));
        assert!(matches!(object(&deep), Err(QueryError::TooDeep(_))));
    }
}
