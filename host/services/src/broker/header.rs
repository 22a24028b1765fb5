//! What the metadata of a publisher's call adds to the header of its message.

use std::collections::{HashMap, HashSet};

use http::{HeaderMap, HeaderName};
use micro_wire::metadata;

/// Adds the metadata of a call to the header of a message: keys in the spelling of HTTP/1
/// (`Micro-Namespace`), where the header has no such key in any spelling. Left out are
/// credentials and what is about the call itself: its encoding, deadline and connection.
pub(super) fn add(header: &mut HashMap<String, String>, metadata: &HeaderMap) {
    let present: HashSet<String> = header.keys().map(|key| key.to_ascii_lowercase()).collect();
    for key in metadata.keys() {
        if !belongs_to_message(key) || present.contains(key.as_str()) {
            continue;
        }
        if let Some(value) = metadata.get(key).and_then(|value| value.to_str().ok()) {
            header.insert(titled(key.as_str()), value.to_owned());
        }
    }
}

fn belongs_to_message(key: &HeaderName) -> bool {
    let key = key.as_str();
    !(key.starts_with("grpc-")
        || key.starts_with("proxy-")
        || key.starts_with("sec-")
        || key.ends_with("-bin")
        || matches!(
            key,
            metadata::AUTHORIZATION
                | metadata::TIMEOUT
                | metadata::CONTENT_TYPE
                | "cookie"
                | "content-type"
                | "content-length"
                | "content-encoding"
                | "user-agent"
                | "te"
                | "host"
                | "connection"
                | "upgrade"
                | "keep-alive"
                | "transfer-encoding"
                | "accept"
                | "accept-encoding"
                | "origin"
                | "referer"
        ))
}

/// `micro-trace-id` as `Micro-Trace-Id`.
fn titled(key: &str) -> String {
    let mut start = true;
    let letters = key.chars().map(|letter| {
        let titled = if start {
            letter.to_ascii_uppercase()
        } else {
            letter
        };
        start = letter == '-';
        titled
    });
    letters.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_fills_what_the_header_does_not_say() {
        let mut metadata = HeaderMap::new();
        for (key, value) in [
            ("foobar", "of the call"),
            ("micro-trace-id", "t"),
            ("authorization", "Bearer secret"),
            ("cookie", "micro-token=secret"),
            ("content-type", "application/grpc"),
            ("grpc-timeout", "1S"),
            ("trace-bin", "AAAA"),
        ] {
            metadata.insert(key, value.parse().unwrap());
        }
        let mut header = HashMap::from([("FooBar".to_owned(), "of the message".to_owned())]);
        add(&mut header, &metadata);
        let wanted = [("FooBar", "of the message"), ("Micro-Trace-Id", "t")];
        let wanted = wanted.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(header, HashMap::from(wanted));
    }
}
