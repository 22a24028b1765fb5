//! From the query and body of a request to the one message of a call.

mod form;
mod json;
mod query;

use bytes::Bytes;
use http::{HeaderMap, Method, header::CONTENT_TYPE};
use micro_wire::{Error, frame::MAX_MESSAGE};
use serde_json::{Map, Value};

use crate::ID;

/// The largest body, in bytes.
pub(crate) const MAX_BODY: usize = 100 * 1024 * 1024;

/// What kind of body a request says it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// JSON, also where nothing is said.
    Json,
    /// A protobuf message as it is.
    Proto,
    /// A form, URL-encoded.
    Form,
    /// A form in parts.
    Multipart,
}

impl Kind {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let content_type = headers
            .get(CONTENT_TYPE)
            .map_or(&b""[..], |value| value.as_bytes());
        let essence = content_type
            .split(|byte| *byte == b';')
            .next()
            .unwrap_or_default();
        let essence = String::from_utf8_lossy(essence).trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/x-www-form-urlencoded" => Self::Form,
            "multipart/form-data" => Self::Multipart,
            "application/grpc" | "application/octet-stream" => Self::Proto,
            kind if kind.contains("proto") => Self::Proto,
            _ => Self::Json,
        }
    }

    /// The largest body of this kind that can become a message, in bytes.
    pub(crate) fn limit(self) -> usize {
        match self {
            // Parts may be left out of the message.
            Self::Multipart => MAX_BODY,
            _ => MAX_MESSAGE,
        }
    }
}

/// Whether requests of this method have a body that counts.
pub(crate) fn has_body(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD)
}

/// The message that a request stands for: JSON, but for [`Kind::Proto`].
///
/// # Errors
/// 400 for a query or body that cannot be understood, with the position; 413 for a message that
/// is too large.
pub(crate) async fn message(
    kind: Kind,
    method: &Method,
    query: &str,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Bytes, Error> {
    let bad = |detail: String| Error::bad_request(ID, detail);
    let kind = match kind {
        Kind::Form if is_json(&body) => Kind::Json,
        kind => kind,
    };
    let fields = match kind {
        Kind::Form if has_body(method) => Map::new(),
        _ => query::object(query).map_err(|error| bad(error.to_string()))?,
    };
    let message = match kind {
        _ if !has_body(method) => json::object(&fields),
        Kind::Proto => body,
        Kind::Json => json::merged(fields, body).await.map_err(bad)?,
        Kind::Form => json::object(&form::fields(&body, query)),
        Kind::Multipart => json::object(&form::parts(headers, body, fields).await.map_err(bad)?),
    };
    if message.len() > MAX_MESSAGE {
        return Err(too_large(message.len()));
    }
    Ok(message)
}

/// Whether the body of a form is JSON, which `curl -d` calls a form. No form begins so: a brace in
/// a name is escaped.
fn is_json(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"{")
}

/// The message that a query stands for, in JSON.
///
/// # Errors
/// As [`message`].
pub(crate) fn of_query(query: &str) -> Result<Bytes, Error> {
    let fields = query::object(query).map_err(|error| Error::bad_request(ID, error.to_string()))?;
    Ok(json::object(&fields))
}

/// A message that has come as JSON, checked; `{}` where it says nothing.
///
/// # Errors
/// 400 for what is no JSON object, with the position.
pub(crate) async fn of_json(text: Bytes) -> Result<Bytes, Error> {
    let merged = json::merged(Map::new(), text).await;
    merged.map_err(|detail| Error::bad_request(ID, detail))
}

/// The error of a message beyond what gRPC carries here.
pub(crate) fn too_large(bytes: usize) -> Error {
    Error::new(
        ID,
        413,
        format!(
            "the request makes a message of {bytes} bytes, and a message may have {MAX_MESSAGE}; \
             send what is larger in pieces over gRPC"
        ),
    )
}

type Fields = Map<String, Value>;
