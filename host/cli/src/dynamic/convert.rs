//! From what was typed after a flag to JSON, by the type that the registry record gives the field.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Number, Value};

use crate::error::{CliError, Result};

/// What became of the values of a flag.
#[derive(Debug, PartialEq)]
pub(super) enum Converted {
    /// JSON of the right type.
    Value(Value),
    /// The type is a name that says nothing here: an enum or a message.
    Unknown,
}

/// The JSON for the values of `--key`, whose field has type `kind` (Go's spelling, as records have it).
///
/// # Errors
/// A value is missing or not of that type (exit code 128).
pub(super) fn convert(key: &str, kind: &str, values: &[Option<String>]) -> Result<Converted> {
    if kind == "[]uint8" {
        return bytes(key, last(key, values)?).map(Converted::Value);
    }
    if let Some(element) = kind.strip_prefix("[]") {
        return list(key, element, values);
    }
    if let Some(types) = kind.strip_prefix("map[") {
        let element = types.split_once(']').map_or("", |(_, element)| element);
        return map(key, element, values).map(Converted::Value);
    }
    if kind == "bool" && values.last().is_some_and(Option::is_none) {
        return Ok(Converted::Value(Value::Bool(true)));
    }
    let text = last(key, values)?;
    Ok(scalar(key, kind, text)?.map_or(Converted::Unknown, Converted::Value))
}

/// The JSON that a text looks like: a number, true or false, else a string.
pub(super) fn by_looks(values: &[Option<String>]) -> Value {
    let one = |value: &Option<String>| match value.as_deref() {
        None => Value::Bool(true),
        Some(text) => match serde_json::from_str(text) {
            Ok(value @ (Value::Number(_) | Value::Bool(_))) => value,
            _ => Value::from(text),
        },
    };
    match values {
        [value] => one(value),
        several => several.iter().map(one).collect(),
    }
}

/// The last value counts, as with flags everywhere.
pub(super) fn last<'a>(key: &str, values: &'a [Option<String>]) -> Result<&'a str> {
    values
        .last()
        .and_then(Option::as_deref)
        .ok_or_else(|| CliError::new(128, format!("--{key} needs a value")))
}

/// None if the type is not a scalar.
pub(super) fn scalar(key: &str, kind: &str, text: &str) -> Result<Option<Value>> {
    let value = match kind {
        "string" => Some(Value::from(text)),
        "bool" => truth(text).map(Value::from),
        "int32" => text.parse::<i32>().ok().map(Value::from),
        "int64" | "int" => integer(text)
            .and_then(|n| i64::try_from(n).ok())
            .map(Value::from),
        "uint32" => integer(text)
            .and_then(|n| u32::try_from(n).ok())
            .map(Value::from),
        "uint64" | "uint" => integer(text)
            .and_then(|n| u64::try_from(n).ok())
            .map(Value::from),
        "float64" | "float32" => float(text),
        _ => return Ok(None),
    };
    value.map(Some).ok_or_else(|| wrong(key, kind, text))
}

pub(super) fn wrong(key: &str, kind: &str, text: &str) -> CliError {
    CliError::new(128, format!("--{key} is {kind}, which \"{text}\" is not"))
}

fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Decimal, or with the prefixes 0x, 0o, 0b, 0 (octal).
fn integer(text: &str) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (base, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    // No integer type of the wire is as long as 40 digits.
    let number = i128::from_str_radix(digits, base).ok()?;
    number.checked_mul(sign)
}

fn float(text: &str) -> Option<Value> {
    let number: f64 = text.parse().ok()?;
    Some(match Number::from_f64(number) {
        Some(number) => Value::Number(number),
        // JSON has no such numbers; protobuf's JSON spells them like this.
        None if number.is_nan() => Value::from("NaN"),
        None if number > 0.0 => Value::from("Infinity"),
        None => Value::from("-Infinity"),
    })
}

fn bytes(key: &str, text: &str) -> Result<Value> {
    STANDARD.decode(text).map_err(|_| {
        CliError::new(
            128,
            format!("--{key} is bytes in base64, which \"{text}\" is not"),
        )
        .hint("encode it first: printf %s TEXT | base64")
    })?;
    Ok(Value::from(text))
}

/// One value is split at commas, several are one element each.
fn list(key: &str, element: &str, values: &[Option<String>]) -> Result<Converted> {
    let mut texts = Vec::new();
    for value in values {
        let text = value.as_deref();
        texts.push(text.ok_or_else(|| CliError::new(128, format!("--{key} needs a value")))?);
    }
    if let [one] = texts.as_slice() {
        if let Ok(list @ Value::Array(_)) = serde_json::from_str(one) {
            return Ok(Converted::Value(list));
        }
        if one.starts_with('{') {
            let object = json_object(key, one)?;
            return Ok(Converted::Value(Value::Array(vec![object])));
        }
        texts = one.split(',').collect();
    }
    let mut list = Vec::new();
    for text in texts {
        match scalar(key, element, text)? {
            Some(value) => list.push(value),
            None if text.starts_with('{') => list.push(json_object(key, text)?),
            None => return Ok(Converted::Unknown),
        }
    }
    Ok(Converted::Value(Value::Array(list)))
}

pub(super) fn json_object(key: &str, text: &str) -> Result<Value> {
    match serde_json::from_str(text) {
        Ok(object @ Value::Object(_)) => Ok(object),
        Ok(_) => Err(wrong(key, "a JSON object", text)),
        Err(error) => Err(CliError::new(
            128,
            format!("--{key} is not valid JSON: {error}"),
        )),
    }
}

/// A JSON object, or `key=value` pairs with commas between or one flag each.
fn map(key: &str, element: &str, values: &[Option<String>]) -> Result<Value> {
    let text = last(key, values)?;
    if text.trim_start().starts_with('{') {
        return json_object(key, text);
    }
    let mut object = Map::new();
    for value in values {
        let text = value.as_deref().unwrap_or_default();
        for pair in text.split(',').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair
                .split_once('=')
                .ok_or_else(|| wrong(key, "a JSON object or key=value pairs", text))?;
            let value = scalar(key, element, value)?.unwrap_or_else(|| Value::from(value));
            object.insert(name.to_owned(), value);
        }
    }
    Ok(Value::Object(object))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn given(values: &[&str]) -> Vec<Option<String>> {
        values
            .iter()
            .map(|value| Some((*value).to_owned()))
            .collect()
    }

    fn check(kind: &str, values: &[&str], expected: Value) {
        assert_eq!(
            convert("x", kind, &given(values)).unwrap(),
            Converted::Value(expected),
            "{kind} {values:?}"
        );
    }

    #[test]
    fn every_type_has_its_spellings() {
        check("string", &["a,b"], json!("a,b"));
        check("bool", &["T"], json!(true));
        check("int32", &["-5"], json!(-5));
        check("int64", &["0x10"], json!(16));
        check("int64", &["-017"], json!(-15));
        check("int64", &["0"], json!(0));
        check("uint64", &["18446744073709551615"], json!(u64::MAX));
        check("float64", &["1e3"], json!(1000.0));
        check("float64", &["-inf"], json!("-Infinity"));
        check("[]uint8", &["djE="], json!("djE="));
        check("[]string", &["a", "b,c"], json!(["a", "b,c"]));
        check("[]Message", &["{\"a\":1}", "{}"], json!([{"a": 1}, {}]));
        check("[]Message", &["[{},{}]"], json!([{}, {}]));
        check("map[string]string", &["{\"a\":\"b\"}"], json!({"a": "b"}));
        check(
            "map[string]int64",
            &["a=1,b=2", "c=3"],
            json!({"a": 1, "b": 2, "c": 3}),
        );
        assert_eq!(
            convert("x", "bool", &[None]).unwrap(),
            Converted::Value(json!(true))
        );
        for kind in ["Access", "Options", "[]Access"] {
            assert_eq!(
                convert("x", kind, &given(&["GRANTED"])).unwrap(),
                Converted::Unknown
            );
        }
    }

    #[test]
    fn what_is_not_of_the_type_is_refused() {
        for (kind, text) in [
            ("bool", "maybe"),
            ("int32", "1.5"),
            ("int32", "3000000000"),
            ("int64", "0x"),
            ("int64", "--5"),
            ("int64", "9223372036854775808"),
            ("uint32", "-1"),
            ("float64", "x"),
            ("[]int32", "1,x"),
            ("[]uint8", "not base64"),
            ("map[string]string", "x"),
            ("map[string]int64", "a=b"),
        ] {
            let error = convert("x", kind, &given(&[text])).unwrap_err();
            assert_eq!(error.code, 128, "{kind} {text}");
            assert!(error.message.starts_with("--x is "), "{error}");
        }
        for kind in ["string", "int64", "[]string", "map[string]string", "Access"] {
            let error = convert("name", kind, &[None]).unwrap_err();
            assert_eq!(error.message, "--name needs a value", "{kind}");
        }
    }

    #[test]
    fn looks_decide_where_nothing_is_known() {
        for (text, expected) in [
            ("3", json!(3)),
            ("1.5", json!(1.5)),
            ("true", json!(true)),
            ("null", json!("null")),
            ("{}", json!("{}")),
            ("abc", json!("abc")),
            ("", json!("")),
        ] {
            assert_eq!(by_looks(&given(&[text])), expected);
        }
        assert_eq!(by_looks(&given(&["1", "a"])), json!([1, "a"]));
        assert_eq!(by_looks(&[None]), json!(true));
    }
}
