//! Reading an error from text, whichever way its keys are spelled.

use serde_json::Value;

use super::Error;

impl Error {
    /// The error written in `text`. JSON keys may have any case; text that is not a JSON object
    /// becomes an error of code 0 with the text as its detail.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let Ok(Value::Object(fields)) = serde_json::from_str(text) else {
            return Self {
                detail: text.to_owned(),
                ..Self::default()
            };
        };
        let mut error = Self::default();
        for (key, value) in fields {
            let slot = match key.to_ascii_lowercase().as_str() {
                "id" => &mut error.id,
                "detail" => &mut error.detail,
                "status" => &mut error.status,
                "code" => {
                    error.code = value.as_i64().and_then(|n| n.try_into().ok()).unwrap_or(0);
                    continue;
                }
                _ => continue,
            };
            if let Value::String(text) = value {
                *slot = text;
            }
        }
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_case_any_text() {
        for (text, id, code, detail) in [
            (r#"{"Id":"a","CODE":404,"detail":"d"}"#, "a", 404, "d"),
            (r#"{"id":"a","code":"404","detail":7}"#, "a", 0, ""),
            (r#"{"code":1e99}"#, "", 0, ""),
            ("{}", "", 0, ""),
            ("unknown service Foo", "", 0, "unknown service Foo"),
            ("[1]", "", 0, "[1]"),
            ("", "", 0, ""),
        ] {
            let error = Error::parse(text);
            assert_eq!(
                (&*error.id, error.code, &*error.detail),
                (id, code, detail),
                "{text}"
            );
        }
    }
}
