//! Forms: every field is text, files are base64.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, header::CONTENT_TYPE};
use serde_json::Value;

use super::Fields;

/// The fields of a URL-encoded form, those of the query after them. What comes several times is
/// joined with commas.
pub(super) fn fields(body: &[u8], query: &str) -> Fields {
    let mut fields = Fields::new();
    for (key, value) in form_urlencoded::parse(body).chain(form_urlencoded::parse(query.as_bytes()))
    {
        join(&mut fields, key.into_owned(), &value);
    }
    fields
}

/// The parts of a form over `fields`: texts as they are, the first file of each name as base64.
pub(super) async fn parts(
    headers: &HeaderMap,
    body: Bytes,
    mut fields: Fields,
) -> Result<Fields, String> {
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let boundary = multer::parse_boundary(content_type.unwrap_or_default())
        .map_err(|error| format!("invalid multipart form: {error}"))?;
    let body = stream::iter([Ok::<_, std::convert::Infallible>(body)]);
    let mut form = multer::Multipart::new(body, boundary);
    let mut own = Fields::new();
    let mut files = Fields::new();
    let invalid = |error: multer::Error| format!("invalid multipart form: {error}");
    while let Some(part) = form.next_field().await.map_err(invalid)? {
        let Some(name) = part.name().map(str::to_owned) else {
            continue;
        };
        if part.file_name().is_some() {
            let bytes = part.bytes().await.map_err(invalid)?;
            files
                .entry(name)
                .or_insert_with(|| Value::String(STANDARD.encode(bytes)));
        } else {
            let text = part.bytes().await.map_err(invalid)?;
            let text = std::str::from_utf8(&text)
                .map_err(|_| format!("the form field {name:?} is not valid UTF-8"))?;
            join(&mut own, name, text);
        }
    }
    fields.extend(own);
    fields.extend(files);
    Ok(fields)
}

fn join(fields: &mut Fields, key: String, value: &str) {
    match fields.get_mut(&key) {
        Some(Value::String(text)) => {
            text.push(',');
            text.push_str(value);
        }
        _ => drop(fields.insert(key, Value::String(value.to_owned()))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn url_encoded() {
        let got = fields(b"name=Form&n=1&n=2&x=%20+", "name=Query&q=");
        let want = json!({"name": "Form,Query", "n": "1,2", "x": "  ", "q": ""});
        assert_eq!(Value::Object(got), want);
    }

    #[tokio::test]
    async fn in_parts() {
        let mut headers = HeaderMap::new();
        headers.insert(
            CONTENT_TYPE,
            "multipart/form-data; boundary=B".parse().unwrap(),
        );
        let body = "--B\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nJoe\r\n\
            --B\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nJim\r\n\
            --B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\"\r\n\r\nv1\r\n\
            --B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"b\"\r\n\r\nv2\r\n--B--\r\n";
        let query = json!({"name": "Q", "a": 1}).as_object().cloned().unwrap();
        let got = parts(&headers, body.into(), query).await.unwrap();
        assert_eq!(
            Value::Object(got),
            json!({"name": "Joe,Jim", "a": 1, "f": "djE="})
        );
        let cut = parts(&headers, "--B\r\nContent".into(), Fields::new()).await;
        assert!(cut.unwrap_err().starts_with("invalid multipart form"));
        assert!(
            parts(&HeaderMap::new(), Bytes::new(), Fields::new())
                .await
                .is_err()
        );
    }
}
