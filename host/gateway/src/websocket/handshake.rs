//! The opening of a websocket: what the client asks for, and what it is told.

use std::collections::BTreeSet;

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version,
    header::{
        AUTHORIZATION, CONNECTION, COOKIE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS,
        SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
    },
    request::Parts,
};
use http_body_util::{Either, Full};
use micro_wire::Error;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::{ID, answer::Answer, call::Language, origin, payload::Kind};

/// The subprotocol of JSON messages.
const JSON: &str = "micro.json";

/// The subprotocol of protobuf messages.
const PROTO: &str = "micro.proto";

/// What stands before the token of a client that can set no headers, among its subprotocols.
const BEARER: &str = "bearer.";

/// An opening that is in order.
pub(super) struct Handshake {
    accept: HeaderValue,
    protocol: Option<HeaderValue>,
    /// What the client has said of its messages.
    pub(super) language: Option<Language>,
}

/// Whether a request asks for a websocket.
pub(crate) fn is_requested(parts: &Parts) -> bool {
    let names = |header: HeaderName, name: &str| {
        let values = parts.headers.get_all(header);
        let mut words = values
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        words.any(|word| word.trim().eq_ignore_ascii_case(name))
    };
    parts.version == Version::HTTP_11 && names(CONNECTION, "upgrade") && names(UPGRADE, "websocket")
}

/// Reads an opening, and leaves in the headers what an ordinary request would have: the token
/// among the subprotocols is moved to where tokens belong, and a page of another site has none
/// that its browser has added.
///
/// # Errors
/// 400 for an opening that lacks something, 426 for another version.
pub(super) fn read(parts: &mut Parts, trusted: &BTreeSet<String>) -> Result<Handshake, Error> {
    let bad = |detail: &str| Error::bad_request(ID, detail);
    if parts.method != Method::GET {
        return Err(bad("a websocket is opened with GET"));
    }
    let headers = &mut parts.headers;
    if headers
        .get(SEC_WEBSOCKET_VERSION)
        .is_none_or(|version| version != "13")
    {
        let detail = "only version 13 of websockets is spoken here: Sec-WebSocket-Version";
        return Err(Error::new(ID, 426, detail));
    }
    let key = headers
        .remove(SEC_WEBSOCKET_KEY)
        .filter(|key| key.len() == 24)
        .ok_or_else(|| bad("Sec-WebSocket-Key is missing, or not 16 bytes in base64"))?;
    headers.remove(SEC_WEBSOCKET_VERSION);
    headers.remove(SEC_WEBSOCKET_EXTENSIONS);
    if !origin::may_have_credentials(headers, trusted) {
        headers.remove(AUTHORIZATION);
        headers.remove(COOKIE);
    }
    let offered = protocols(headers);
    headers.remove(SEC_WEBSOCKET_PROTOCOL);
    let token = offered.iter().find_map(|name| name.strip_prefix(BEARER));
    if let Some(token) = token
        && !headers.contains_key(AUTHORIZATION)
    {
        let mut value = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| bad("the token among the subprotocols is none"))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    let names = || offered.iter().filter(|name| !name.starts_with(BEARER));
    let known = names().find(|name| [JSON, PROTO].contains(&name.as_str()));
    // A browser ends a connection that takes none of what it has offered.
    let chosen = known.or_else(|| names().next());
    if token.is_some() && chosen.is_none() {
        let detail = format!("a token among the subprotocols needs another beside it: {JSON}");
        return Err(bad(&detail));
    }
    let language = match known.map(String::as_str) {
        Some(JSON) => Some(Language::Json),
        Some(_) => Some(Language::Proto),
        None => by_content_type(headers),
    };
    let protocol = chosen.and_then(|name| HeaderValue::try_from(name).ok());
    let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes()))
        .map_err(|_| bad("Sec-WebSocket-Key cannot be answered"))?;
    Ok(Handshake {
        accept,
        protocol,
        language,
    })
}

fn protocols(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}

fn by_content_type(headers: &HeaderMap) -> Option<Language> {
    headers.get(http::header::CONTENT_TYPE)?;
    Some(match Kind::of(headers) {
        Kind::Proto => Language::Proto,
        _ => Language::Json,
    })
}

impl Handshake {
    /// The answer after which the connection is a websocket.
    pub(super) fn accept(self) -> Answer {
        let mut answer = Response::new(Either::Left(Full::default()));
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = answer.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, self.accept);
        if let Some(protocol) = self.protocol {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn opening(headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::get("/things/watch")
            .header("host", "localhost:8080")
            .header("connection", "keep-alive, Upgrade")
            .header("upgrade", "WebSocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_answer_of_the_standard() {
        let mut parts = opening(&[]);
        assert!(is_requested(&parts));
        let handshake = read(&mut parts, &BTreeSet::new()).unwrap();
        let answer = handshake.accept();
        assert_eq!(answer.status(), 101);
        let accept = &answer.headers()[SEC_WEBSOCKET_ACCEPT];
        assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(!answer.headers().contains_key(SEC_WEBSOCKET_PROTOCOL));
    }

    #[test]
    fn languages_and_protocols() {
        use Language::{Json, Proto};
        for (headers, language, protocol) in [
            (&[][..], None, None),
            (&[("content-type", "application/json")], Some(Json), None),
            (
                &[("content-type", "application/protobuf")],
                Some(Proto),
                None,
            ),
            (
                &[("sec-websocket-protocol", "other, micro.proto")],
                Some(Proto),
                Some("micro.proto"),
            ),
            (
                &[("sec-websocket-protocol", "micro.json, bearer.T")],
                Some(Json),
                Some("micro.json"),
            ),
            (&[("sec-websocket-protocol", "a, b")], None, Some("a")),
        ] {
            let mut parts = opening(headers);
            let handshake = read(&mut parts, &BTreeSet::new()).unwrap();
            assert_eq!(handshake.language, language, "{headers:?}");
            let answer = handshake.accept();
            let got = answer.headers().get(SEC_WEBSOCKET_PROTOCOL);
            assert_eq!(got.map(|it| it.to_str().unwrap()), protocol, "{headers:?}");
        }
    }

    #[test]
    fn tokens_and_origins() {
        let token = ("sec-websocket-protocol", "micro.json, bearer.T");
        let basic = ("authorization", "Basic x");
        let own = ("origin", "http://localhost:8080");
        let other = ("origin", "https://evil.example");
        let good = ("origin", "https://good.example");
        let trusted = BTreeSet::from(["https://good.example".to_owned()]);
        for (headers, authorization, cookie) in [
            (vec![basic], Some("Basic x"), true),
            (vec![token], Some("Bearer T"), true),
            (vec![token, basic], Some("Basic x"), true),
            (vec![basic, own], Some("Basic x"), true),
            (vec![basic, good], Some("Basic x"), true),
            (vec![basic, other], None, false),
            (vec![basic, ("origin", "null")], None, false),
            // The page itself has this one.
            (vec![token, other], Some("Bearer T"), false),
        ] {
            let mut headers = headers;
            headers.push(("cookie", "micro-token=C"));
            let mut parts = opening(&headers);
            read(&mut parts, &trusted).unwrap();
            let got = parts.headers.get(AUTHORIZATION);
            let got = got.map(|it| it.to_str().unwrap());
            assert_eq!(got, authorization, "{headers:?}");
            assert_eq!(parts.headers.contains_key(COOKIE), cookie, "{headers:?}");
            assert!(!parts.headers.contains_key(SEC_WEBSOCKET_PROTOCOL));
        }
    }

    #[test]
    fn refuses() {
        for (name, value, code) in [
            ("sec-websocket-version", "8", 426),
            ("sec-websocket-key", "short", 400),
            ("sec-websocket-protocol", "bearer.T", 400),
        ] {
            let mut parts = opening(&[]);
            parts.headers.insert(name, HeaderValue::from_static(value));
            let error = read(&mut parts, &BTreeSet::new()).err().unwrap();
            assert_eq!(error.code, code, "{name}");
        }
        let mut parts = opening(&[]);
        parts.method = Method::POST;
        assert!(read(&mut parts, &BTreeSet::new()).is_err());
    }
}
