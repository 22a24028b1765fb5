//! From the headers of a request to the metadata of a call.

use base64::{
    Engine,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TE},
    request::Parts,
};
use micro_wire::metadata::{TIMEOUT, strip_hop_by_hop};

use crate::origin;

/// The longest URL that is passed on as metadata, in bytes: gRPC servers take some 16 KiB in all.
const LONGEST_URL: usize = 4 * 1024;

/// `-bin` metadata comes with and without padding.
const BINARY: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The metadata that a request becomes: its headers (values of one name joined with commas)
/// but for those of the connection, of gRPC itself, and what is no legal metadata; and `host`,
/// `method` and `url`. Without `Authorization`, the token of the cookie `micro-token` counts, if
/// the request comes from a page of this very door.
pub(crate) fn metadata(parts: &mut Parts) -> HeaderMap {
    let token = (!parts.headers.contains_key(AUTHORIZATION))
        .then(|| origin::cookie_token(&parts.headers).map(str::to_owned))
        .flatten();
    let host = origin::host(parts);
    strip_hop_by_hop(&mut parts.headers);
    let mut metadata = HeaderMap::with_capacity(parts.headers.len() + 6);
    for name in parts.headers.keys() {
        if !is_legal(name) || is_ours(name) {
            continue;
        }
        let mut values = parts.headers.get_all(name).iter();
        let Some(first) = values.next() else { continue };
        let value = match values.next() {
            None => Some(first.clone()),
            Some(second) => join([first, second].into_iter().chain(values)),
        };
        if let Some(value) = value.filter(|value| is_legal_value(name, value)) {
            metadata.insert(name.clone(), value);
        }
    }
    if let Some(token) = token
        && let Ok(mut value) = HeaderValue::try_from(format!("Bearer {token}"))
    {
        value.set_sensitive(true);
        metadata.insert(AUTHORIZATION, value);
    }
    if let Some(host) = host {
        insert(&mut metadata, "host", host);
    }
    insert(&mut metadata, "method", parts.method.as_str().to_owned());
    let url = parts.uri.path_and_query().map_or("/", |url| url.as_str());
    let url = if url.len() > LONGEST_URL {
        parts.uri.path()
    } else {
        url
    };
    if url.len() <= LONGEST_URL {
        insert(&mut metadata, "url", url.to_owned());
    }
    metadata
}

fn insert(metadata: &mut HeaderMap, name: &'static str, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        metadata.insert(HeaderName::from_static(name), value);
    }
}

fn join<'a>(values: impl Iterator<Item = &'a HeaderValue>) -> Option<HeaderValue> {
    let mut joined = Vec::new();
    for value in values {
        if !joined.is_empty() {
            joined.push(b',');
        }
        joined.extend_from_slice(value.as_bytes());
    }
    HeaderValue::try_from(joined).ok()
}

/// What the gateway says itself, or gRPC.
fn is_ours(name: &HeaderName) -> bool {
    [&CONTENT_TYPE, &CONTENT_LENGTH, &HOST, &TE].contains(&name)
        || name == TIMEOUT
        || name.as_str().starts_with("grpc-")
}

fn is_legal(name: &HeaderName) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    name.as_str().bytes().all(legal)
}

fn is_legal_value(name: &HeaderName, value: &HeaderValue) -> bool {
    if name.as_str().ends_with("-bin") {
        return value
            .as_bytes()
            .split(|byte| *byte == b',')
            .all(|part| BINARY.decode(part.trim_ascii()).is_ok());
    }
    value
        .as_bytes()
        .iter()
        .all(|byte| (0x20..=0x7e).contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    #[test]
    fn what_passes() {
        let (mut parts, ()) = Request::get("/helloworld/call?name=x")
            .header("Foobar", "a")
            .header("Foobar", "b")
            .header("Host", "localhost:8080")
            .header("Connection", "close, x-mine")
            .header("X-Mine", "1")
            .header("Content-Type", "application/json")
            .header("Timeout", "1")
            .header("grpc-status", "3")
            .header("x!y", "1")
            .header("x-latin", HeaderValue::from_bytes(b"caf\xe9").unwrap())
            .header("good-bin", "djE")
            .header("bad-bin", "***")
            .header("Micro-Namespace", "foo")
            .body(())
            .unwrap()
            .into_parts();
        let got = metadata(&mut parts);
        let mut got: Vec<_> = got
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        got.sort_unstable();
        assert_eq!(
            got,
            [
                ("foobar", "a,b"),
                ("good-bin", "djE"),
                ("host", "localhost:8080"),
                ("method", "GET"),
                ("micro-namespace", "foo"),
                ("url", "/helloworld/call?name=x"),
            ]
        );
    }
}
