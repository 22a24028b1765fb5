//! A length of time as a setting: `10`, `500ms`, `10s`, `5m`, `2h`.

use std::{borrow::Cow, fmt, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, Visitor},
};

/// A length of time: a whole number of seconds, or a text of a whole number and one of the units
/// `ms`, `s`, `m` and `h`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Period(Duration);

/// What a period looks like, for the schema and for errors.
const PATTERN: &str = "^[0-9]+(ms|s|m|h)$";

impl Period {
    /// So many milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// So many seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// The length.
    pub const fn duration(self) -> Duration {
        self.0
    }

    fn parse(text: &str) -> Option<Self> {
        let unit = text.find(|c: char| !c.is_ascii_digit())?;
        let (number, unit) = text.split_at(unit);
        let number: u64 = number.parse().ok()?;
        let millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        Some(Self::from_millis(number.checked_mul(millis)?))
    }
}

impl fmt::Debug for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// As it is read: what the schema says the default is.
impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let units = [(3_600_000, "h"), (60_000, "m"), (1_000, "s")];
        let whole = units
            .into_iter()
            .find(|(unit, _)| millis > 0 && millis.is_multiple_of(*unit));
        let (unit, name) = whole.unwrap_or((1, "ms"));
        write!(f, "{}{name}", millis / unit)
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads either form.
struct Reader;

impl Visitor<'_> for Reader {
    type Value = Period;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number of seconds, or a text such as 500ms, 10s, 5m or 2h")
    }

    fn visit_u64<E: Error>(self, seconds: u64) -> Result<Period, E> {
        Ok(Period::from_secs(seconds))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Period, E> {
        let unexpected = serde::de::Unexpected::Str(text);
        Period::parse(text).ok_or_else(|| E::invalid_value(unexpected, &self))
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

impl JsonSchema for Period {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Period".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["string", "integer"], "pattern": PATTERN, "minimum": 0})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_and_anything_else_is_not() {
        for (text, millis) in [
            ("0s", Some(0)),
            ("500ms", Some(500)),
            ("10s", Some(10_000)),
            ("5m", Some(300_000)),
            ("2h", Some(7_200_000)),
            ("10", None),
            ("", None),
            ("s", None),
            ("1.5s", None),
            ("-1s", None),
            ("1 s", None),
            ("1d", None),
            ("99999999999999999999s", None),
            ("18446744073709551615h", None),
        ] {
            let wanted = millis.map(Period::from_millis);
            assert_eq!(Period::parse(text), wanted, "{text:?}");
        }
        for text in ["0ms", "500ms", "1500ms", "10s", "5m", "90m", "2h"] {
            let period = Period::parse(text);
            assert_eq!(period.map(|it| it.to_string()).as_deref(), Some(text));
        }
        let read = |json| serde_json::from_str::<Period>(json);
        assert_eq!(read("10").unwrap(), Period::from_secs(10));
        assert_eq!(read("\"5m\"").unwrap(), Period::from_secs(300));
        for wrong in ["-1", "1.5", "true", "\"soon\""] {
            let error = read(wrong).unwrap_err().to_string();
            assert!(error.contains("500ms"), "{error}");
        }
    }
}
