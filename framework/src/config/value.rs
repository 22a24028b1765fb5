//! A value of the configuration, read as what the caller needs.

use std::{collections::BTreeMap, time::Duration};

use micro_proto::config as proto;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::duration;
use crate::{Error, wire::error::CLIENT_ID};

/// What is under a path, or that nothing is. Each reader converts as well as it can, and gives the
/// default where it cannot; none of them fails but [`Value::scan`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Value(Json);

impl Value {
    /// The value in an answer.
    pub(super) fn read(value: Option<proto::Value>) -> Result<Self, Error> {
        let data = value.map(|value| value.data).unwrap_or_default();
        if data.is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_str(&data).map(Self).map_err(|error| {
            Error::bad_gateway(
                CLIENT_ID,
                format!("config answered what is not JSON: {error}"),
            )
        })
    }

    /// Whether there is a value. One of `null` is none.
    #[must_use]
    pub fn exists(&self) -> bool {
        !self.0.is_null()
    }

    /// The value as JSON; `null` where there is none.
    #[must_use]
    pub fn json(&self) -> &Json {
        &self.0
    }

    /// As a boolean: one, or a text that says one (`true`, `1`, `t`, `false`, `0`, `f`).
    #[must_use]
    pub fn bool(&self, default: bool) -> bool {
        match &self.0 {
            Json::Bool(value) => *value,
            _ => match self.scalar().unwrap_or_default().to_lowercase().as_str() {
                "true" | "t" | "1" => true,
                "false" | "f" | "0" => false,
                _ => default,
            },
        }
    }

    /// As an integer: a number without its fraction, or a text that says one.
    #[must_use]
    pub fn int(&self, default: i64) -> i64 {
        let text = self.scalar();
        let whole = text.as_deref().and_then(|text| text.trim().parse().ok());
        // A float of Rust saturates where it does not fit, and has no fraction as an integer.
        whole.unwrap_or_else(|| self.as_float().map_or(default, |float| float as i64))
    }

    /// As a floating-point number, or a text that says one.
    #[must_use]
    pub fn float(&self, default: f64) -> f64 {
        self.as_float().unwrap_or(default)
    }

    fn as_float(&self) -> Option<f64> {
        match &self.0 {
            Json::Number(number) => number.as_f64(),
            Json::String(text) => text
                .trim()
                .parse()
                .ok()
                .filter(|float: &f64| float.is_finite()),
            _ => None,
        }
    }

    /// As a text: one, or what a number, boolean, list or object is in JSON.
    #[must_use]
    pub fn string(&self, default: impl Into<String>) -> String {
        match &self.0 {
            Json::Null => default.into(),
            value => text(value),
        }
    }

    /// As a span of time: a text such as `1h30m`, `10s`, `250ms`, or a number of nanoseconds.
    #[must_use]
    pub fn duration(&self, default: Duration) -> Duration {
        let read = match &self.0 {
            Json::String(text) => duration::parse(text),
            Json::Number(number) => number.as_u64().map(Duration::from_nanos),
            _ => None,
        };
        read.unwrap_or(default)
    }

    /// As a list of texts: a list, or a text with commas.
    #[must_use]
    pub fn string_slice(&self, default: &[&str]) -> Vec<String> {
        match &self.0 {
            Json::Array(items) => items.iter().map(text).collect(),
            Json::String(joined) => joined.split(',').map(str::to_owned).collect(),
            _ => default.iter().map(|&text| text.to_owned()).collect(),
        }
    }

    /// As texts by key: an object.
    #[must_use]
    pub fn string_map(&self, default: BTreeMap<String, String>) -> BTreeMap<String, String> {
        match &self.0 {
            Json::Object(fields) => {
                let fields = fields.iter();
                fields
                    .map(|(key, value)| (key.clone(), text(value)))
                    .collect()
            }
            _ => default,
        }
    }

    /// As a type of the caller's, strictly: a text is not taken for a number here.
    ///
    /// # Errors
    /// 500 naming what does not fit.
    pub fn scan<T: DeserializeOwned>(&self) -> Result<T, Error> {
        T::deserialize(&self.0).map_err(|error| {
            let detail = format!("the configuration is not what was expected: {error}");
            Error::internal_server_error(CLIENT_ID, detail)
        })
    }

    /// The text of a plain value.
    fn scalar(&self) -> Option<String> {
        match &self.0 {
            Json::String(_) | Json::Number(_) | Json::Bool(_) => Some(text(&self.0)),
            _ => None,
        }
    }
}

/// A value as a text: without quotes if it is one.
fn text(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_read_as_what_is_asked_for() {
        let missing = Value::default();
        assert!(!missing.exists() && Value(json!(0)).exists());
        for (value, read) in [
            (json!(true), true),
            (json!("false"), false),
            (json!("1"), true),
            (json!(0), false),
            (json!([]), true),
            (json!(null), true),
        ] {
            assert_eq!(Value(value.clone()).bool(true), read, "{value}");
        }
        for (value, read) in [
            (json!(42), 42),
            (json!("42"), 42),
            (json!(3.9), 3),
            (json!("3.9"), 3),
            (json!(i64::MIN), i64::MIN),
            (json!("many"), -1),
            (json!({}), -1),
            (json!(null), -1),
        ] {
            assert_eq!(Value(value.clone()).int(-1), read, "{value}");
        }
        assert_eq!(Value(json!("1.5")).float(0.0), 1.5);
        assert_eq!(Value(json!("NaN")).float(2.0), 2.0);
        assert_eq!(Value(json!("a")).string("d"), "a");
        assert_eq!(Value(json!([1, "b"])).string("d"), r#"[1,"b"]"#);
        assert_eq!(missing.string("d"), "d");
        let second = Duration::from_secs(1);
        assert_eq!(Value(json!("1.5s")).duration(second), second.mul_f64(1.5));
        assert_eq!(Value(json!(2_000_000_000)).duration(second), second * 2);
        assert_eq!(Value(json!("soon")).duration(second), second);
        assert_eq!(Value(json!(["a", 1])).string_slice(&[]), ["a", "1"]);
        assert_eq!(Value(json!("a,b")).string_slice(&[]), ["a", "b"]);
        assert_eq!(missing.string_slice(&["d"]), ["d"]);
        let map = Value(json!({"a": "x", "b": 2})).string_map(BTreeMap::new());
        assert_eq!(map["a"], "x");
        assert_eq!(map["b"], "2");
    }

    #[test]
    fn scanning_is_strict() {
        assert_eq!(Value(json!([1, 2])).scan::<Vec<i32>>(), Ok(vec![1, 2]));
        let error = Value(json!("1")).scan::<i32>().unwrap_err();
        assert!(error.detail.contains("invalid type: string"), "{error}");
    }
}
