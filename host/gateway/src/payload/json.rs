//! JSON bodies: checked, and merged over the fields of the query.

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::Fields;

/// Bodies above this are read on a thread that may take its time, in bytes.
const LARGE: usize = 256 * 1024;

/// These fields as JSON text.
pub(super) fn object(fields: &Fields) -> Bytes {
    if fields.is_empty() {
        return Bytes::from_static(b"{}");
    }
    serde_json::to_vec(fields)
        .expect("JSON values can be written as JSON")
        .into()
}

/// The body, merged over the fields as RFC 7396 has it. A body alone is passed on as it came.
pub(super) async fn merged(fields: Fields, body: Bytes) -> Result<Bytes, String> {
    if body.len() <= LARGE {
        return merge(fields, body);
    }
    tokio::task::spawn_blocking(move || merge(fields, body))
        .await
        .unwrap_or_else(|_| Err("the body could not be read".into()))
}

fn merge(mut fields: Fields, body: Bytes) -> Result<Bytes, String> {
    let blank = |byte: &u8| byte.is_ascii_whitespace();
    let Some(start) = body.iter().position(|byte| !blank(byte)) else {
        return Ok(object(&fields));
    };
    if body[start] != b'{' {
        serde_json::from_slice::<IgnoredAny>(&body).map_err(|error| invalid(&error))?;
        return match body[start] {
            // JSON's word for nothing.
            b'n' => Ok(object(&fields)),
            _ => Err(format!(
                "the body must be a JSON object, and begins with {:?} at position {start}",
                char::from(body[start])
            )),
        };
    }
    if fields.is_empty() {
        // Whoever decodes the message needs valid text, not only valid syntax.
        std::str::from_utf8(&body).map_err(|error| {
            format!(
                "the body is not valid UTF-8 at position {}",
                error.valid_up_to()
            )
        })?;
        serde_json::from_slice::<IgnoredAny>(&body).map_err(|error| invalid(&error))?;
        return Ok(body);
    }
    let body: Fields = serde_json::from_slice(&body).map_err(|error| invalid(&error))?;
    patch(&mut fields, body);
    Ok(object(&fields))
}

fn patch(into: &mut Fields, from: Fields) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (_, Value::Null) => drop(into.shift_remove(&key)),
            (Some(Value::Object(old)), Value::Object(new)) => patch(old, new),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

fn invalid(error: &serde_json::Error) -> String {
    format!("the body is not valid JSON: {error}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Fields {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn merges() {
        for (query, body, want) in [
            (json!({}), "", "{}"),
            (json!({}), " \n", "{}"),
            (json!({}), "null", "{}"),
            (json!({}), r#"{ "name" : 1.50 }"#, r#"{ "name" : 1.50 }"#),
            (json!({"name": "Q"}), "{}", r#"{"name":"Q"}"#),
            (json!({"name": "Q"}), "", r#"{"name":"Q"}"#),
            (json!({"name": "Q"}), r#"{"name":"B"}"#, r#"{"name":"B"}"#),
            (
                json!({"name": "Q", "a": 1}),
                r#"{"name":null}"#,
                r#"{"a":1}"#,
            ),
            (
                json!({"a": {"b": 1}}),
                r#"{"a":{"c":2}}"#,
                r#"{"a":{"b":1,"c":2}}"#,
            ),
            (
                json!({"key1": "val1", "key2": "val2"}),
                r#"{"name":"Test"}"#,
                r#"{"key1":"val1","key2":"val2","name":"Test"}"#,
            ),
        ] {
            assert_eq!(merge(fields(query), body.into()), Ok(want.into()), "{body}");
        }
    }

    #[test]
    fn refuses_with_a_position() {
        for (body, position) in [
            (&b"{bad"[..], "line 1 column 2"),
            (b"[1]", "position 0"),
            (b" \"x\"", "position 1"),
            (b"<xml/>", "line 1 column 1"),
            (b"{\"name\":\"\xff\"}", "position 9"),
            (b"{} {}", "line 1 column 4"),
        ] {
            for query in [json!({}), json!({"a": 1})] {
                let error = merge(fields(query), Bytes::copy_from_slice(body)).unwrap_err();
                let utf8 = body.contains(&0xff) && error.contains("column");
                assert!(error.contains(position) || utf8, "{error}");
            }
        }
        let deep = "{\"a\":".repeat(100_000);
        assert!(merge(Fields::new(), deep.into()).is_err());
    }
}
