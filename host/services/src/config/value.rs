//! Values as they come in: JSON text within limits, and numbers that can be kept as they are.

use serde_json::Value;

use super::path::MAX_DEPTH;

/// The most bytes of one value.
const MAX_LENGTH: usize = 1 << 20;

/// Why a text is no value of a configuration.
#[derive(Debug, thiserror::Error)]
pub(super) enum ValueError {
    #[error("Request is invalid JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the value has {0} bytes; at most {MAX_LENGTH} are allowed, so keep it in the store")]
    TooLong(usize),
    #[error("the value has more than {MAX_DEPTH} levels of objects and lists")]
    TooDeep,
    #[error("the integer {0} does not fit into 64 bits; write it as a string")]
    Integer(String),
}

/// The value that a JSON text spells.
pub(super) fn parse(text: &str) -> Result<Value, ValueError> {
    if text.len() > MAX_LENGTH {
        return Err(ValueError::TooLong(text.len()));
    }
    let value: Value = serde_json::from_str(text)?;
    if depth(&value) > MAX_DEPTH {
        return Err(ValueError::TooDeep);
    }
    // It would silently become the nearest floating-point number.
    if let Some(integer) = integers(text).find(|digits| !fits(digits)) {
        return Err(ValueError::Integer(integer.to_owned()));
    }
    Ok(value)
}

/// How many levels of objects and lists there are; none in a plain value.
pub(super) fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn fits(digits: &str) -> bool {
    digits.parse::<i64>().is_ok() || digits.parse::<u64>().is_ok()
}

/// The numbers without fraction and exponent in a text that is JSON.
fn integers(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let at = rest.find(|c: char| c == '"' || c == '-' || c.is_ascii_digit())?;
            rest = &rest[at..];
            if let Some(inside) = rest.strip_prefix('"') {
                rest = &inside[end_of_string(inside)..];
                continue;
            }
            let number = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E');
            let end = rest.find(|c| !number(c)).unwrap_or(rest.len());
            let (digits, after) = rest.split_at(end);
            rest = after;
            if !digits.contains(['.', 'e', 'E']) {
                return Some(digits);
            }
        }
    })
}

/// Where a string ends, its closing quote included.
fn end_of_string(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_kept() {
        for (text, kept) in [
            ("1.50", "1.5"),
            ("-3", "-3"),
            ("18446744073709551615", "18446744073709551615"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("1e3", "1000.0"),
            (" null ", "null"),
            ("\"Value with <> signs\"", "\"Value with <> signs\""),
            ("[1,[true,null]]", "[1,[true,null]]"),
            (
                r#""99999999999999999999\"99999999999999999999""#,
                r#""99999999999999999999\"99999999999999999999""#,
            ),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), kept);
        }
    }

    #[test]
    fn what_is_refused_says_why() {
        for (text, why) in [
            ("{bad", "Request is invalid JSON: "),
            ("", "Request is invalid JSON: "),
            ("1 2", "Request is invalid JSON: "),
            (
                "[1, 18446744073709551616]",
                "the integer 18446744073709551616 ",
            ),
            (
                r#"{"a":-9223372036854775809}"#,
                "the integer -9223372036854775809 ",
            ),
            ("1e999", "Request is invalid JSON: "),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with(why), "{text}: {error}");
        }
        let deep = format!("{}{}", "[".repeat(MAX_DEPTH + 1), "]".repeat(MAX_DEPTH + 1));
        assert!(matches!(parse(&deep), Err(ValueError::TooDeep)));
        let deepest = "[".repeat(100_000);
        assert!(matches!(parse(&deepest), Err(ValueError::Json(_))));
        let long = format!("\"{}\"", "x".repeat(MAX_LENGTH));
        assert!(matches!(parse(&long), Err(ValueError::TooLong(_))));
    }
}
