//! The metadata keys of a call, its deadline, and what must not travel on.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

/// The namespace that a call is made in.
pub const NAMESPACE: &str = "micro-namespace";
/// The id of the one node that is to answer: for asking each node of a service how it is.
pub const NODE: &str = "micro-node";
/// `Bearer <token>`, or Basic with the token as password.
pub const AUTHORIZATION: &str = "authorization";
/// The caller's patience in decimal nanoseconds, beside the standard `grpc-timeout`.
pub const TIMEOUT: &str = "timeout";
/// The standard deadline of gRPC.
pub const GRPC_TIMEOUT: &str = "grpc-timeout";
/// The content type that the caller asked for, beside the one of the HTTP/2 stream.
pub const CONTENT_TYPE: &str = "x-content-type";
/// The trace that a call belongs to.
pub const TRACE_ID: &str = "micro-trace-id";
/// The span that made the call.
pub const SPAN_ID: &str = "micro-span-id";
/// W3C trace context, passed on as it came.
pub const TRACEPARENT: &str = "traceparent";
/// Vendor part of the W3C trace context.
pub const TRACESTATE: &str = "tracestate";

/// The content type of protobuf on the wire.
pub const GRPC: &str = "application/grpc";
/// The content type of protobuf on the wire, spelled out.
pub const GRPC_PROTO: &str = "application/grpc+proto";
/// The content type of JSON on the wire inside the platform.
pub const GRPC_JSON: &str = "application/grpc+json";

/// The namespace of callers that say nothing.
pub const DEFAULT_NAMESPACE: &str = "micro";

/// Whether the content type of these headers is [`GRPC_JSON`] (parameters aside).
#[must_use]
pub fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(http::header::CONTENT_TYPE)
        .and_then(|value| value.as_bytes().get(..GRPC_JSON.len()))
        .is_some_and(|start| start.eq_ignore_ascii_case(GRPC_JSON.as_bytes()))
}

/// How long the caller waits: the shorter of `grpc-timeout` and `timeout`; unreadable ones do not count.
#[must_use]
pub fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = |key| {
        headers
            .get(key)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let grpc = text(GRPC_TIMEOUT).and_then(parse_grpc_timeout);
    let micro = text(TIMEOUT)
        .and_then(|ns| ns.parse().ok())
        .map(Duration::from_nanos);
    match (grpc, micro) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Writes the deadline both ways, as the client of a call does.
pub fn set_timeout(headers: &mut HeaderMap, timeout: Duration) {
    let ns = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
    headers.insert(TIMEOUT, HeaderValue::from(ns));
    // The standard allows eight digits: take the finest unit that fits.
    let units = [
        ('n', 1),
        ('u', 1_000),
        ('m', 1_000_000),
        ('S', 1_000_000_000),
    ];
    let text = units
        .into_iter()
        .find(|(_, size)| ns / size < 100_000_000)
        .map_or_else(
            || "99999999S".to_owned(),
            |(unit, size)| format!("{}{unit}", ns / size),
        );
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert(GRPC_TIMEOUT, value);
    }
}

fn parse_grpc_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let n: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(n * 3600),
        "M" => Duration::from_secs(n * 60),
        "S" => Duration::from_secs(n),
        "m" => Duration::from_millis(n),
        "u" => Duration::from_micros(n),
        "n" => Duration::from_nanos(n),
        _ => return None,
    })
}

/// Removes the headers that belong to one connection, those named by `Connection` included.
/// `te` is kept only as `trailers`, which gRPC needs.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(http::header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in [
        "connection",
        "upgrade",
        "keep-alive",
        "transfer-encoding",
        "host",
        "content-length",
        "proxy-connection",
        "proxy-authenticate",
        "proxy-authorization",
        "http2-settings",
    ] {
        headers.remove(name);
    }
    if headers.get("te").is_some_and(|te| te != "trailers") {
        headers.remove("te");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(k, v)| (HeaderName::from_static(k), HeaderValue::from_static(v)))
            .collect()
    }

    #[test]
    fn timeouts() {
        let ms = |n| Some(Duration::from_millis(n));
        for (grpc, micro, want) in [
            (None, None, None),
            (Some("10S"), None, ms(10_000)),
            (Some("250m"), Some("10000000000"), ms(250)),
            (Some("10S"), Some("5000000"), ms(5)),
            (Some("bad"), Some("5000000"), ms(5)),
            (Some("1H"), Some("-1"), ms(3_600_000)),
            (Some("123456789S"), None, None),
            (Some("S"), None, None),
            (Some(""), Some(""), None),
            (Some("5é"), None, None),
        ] {
            let mut map = HeaderMap::new();
            for (key, value) in [(GRPC_TIMEOUT, grpc), (TIMEOUT, micro)] {
                if let Some(value) = value {
                    map.insert(key, HeaderValue::from_bytes(value.as_bytes()).unwrap());
                }
            }
            assert_eq!(timeout(&map), want, "{grpc:?} {micro:?}");
        }
    }

    #[test]
    fn a_written_timeout_is_read_back() {
        for timeout_of in [
            Duration::ZERO,
            Duration::from_nanos(7),
            Duration::from_secs(10),
            Duration::from_secs(86_400),
        ] {
            let mut map = HeaderMap::new();
            set_timeout(&mut map, timeout_of);
            assert_eq!(timeout(&map), Some(timeout_of));
            assert!(map[GRPC_TIMEOUT].len() <= 9);
        }
        let mut map = HeaderMap::new();
        set_timeout(&mut map, Duration::MAX);
        assert!(timeout(&map) > Some(Duration::from_secs(99_999_998)));
    }

    #[test]
    fn hop_by_hop() {
        let mut map = headers(&[
            ("connection", "close, X-Mine"),
            ("x-mine", "1"),
            ("host", "h"),
            ("te", "trailers"),
            ("foobar", "kept"),
        ]);
        strip_hop_by_hop(&mut map);
        assert_eq!(map, headers(&[("te", "trailers"), ("foobar", "kept")]));
        let mut map = headers(&[("te", "gzip")]);
        strip_hop_by_hop(&mut map);
        assert!(map.is_empty());
    }

    #[test]
    fn json_by_content_type() {
        for (value, json) in [
            ("application/grpc+json", true),
            ("Application/gRPC+JSON; charset=utf-8", true),
            ("application/grpc", false),
            ("application/json", false),
        ] {
            assert_eq!(
                is_json(&headers(&[("content-type", value)])),
                json,
                "{value}"
            );
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
