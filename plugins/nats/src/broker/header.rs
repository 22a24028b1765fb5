//! A message's header as NATS carries one: plain where it can be, so that other clients read it.

use std::collections::BTreeMap;

use async_nats::HeaderMap;

use crate::subject::{escaped, unescaped};

/// The name of an entry that has none: no name is escaped to it.
const NAMELESS: &str = "%";

/// Names keep what a NATS header's name may hold, values all but what ends or pads a line.
pub(super) fn encode(header: &BTreeMap<String, String>) -> HeaderMap {
    let entries = header.iter().map(|(name, value)| {
        let name = match name.as_str() {
            "" => NAMELESS.to_owned(),
            name => escaped(name, |byte| byte.is_ascii_graphic() && byte != b':'),
        };
        let value = escaped(value, |byte| byte >= b' ' && byte != 0x7f);
        (name, padded(value))
    });
    let mut headers = HeaderMap::new();
    for (name, value) in entries {
        headers.insert(name, value);
    }
    headers
}

/// Blanks at the ends do not survive the way, nor do other blanks of Unicode there.
fn padded(value: String) -> String {
    if value.trim().len() == value.len() {
        return value;
    }
    let inner = value.trim();
    let start = value.len() - value.trim_start().len();
    let (head, tail) = (&value[..start], &value[start + inner.len()..]);
    let all = |text| escaped(text, |_| false);
    format!("{}{inner}{}", all(head), all(tail))
}

/// What [`encode`] was given. What was not escaped by it is taken as it is.
pub(super) fn decode(headers: &HeaderMap) -> BTreeMap<String, String> {
    let plain = |text: &str| unescaped(text).unwrap_or_else(|| text.to_owned());
    let entries = headers.iter().filter_map(|(name, values)| {
        let name: &str = name.as_ref();
        let name = match name {
            NAMELESS => String::new(),
            name => plain(name),
        };
        Some((name, plain(values.first()?.as_str())))
    });
    entries.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_header_comes_back_and_plain_ones_stay_plain() {
        let header: BTreeMap<_, _> = [
            ("Content-Type", "application/json; charset=utf-8"),
            ("content-type", "100%"),
            ("", "nameless"),
            ("%", "%41"),
            ("naïve: key", "ünï\r\nX-Injected: 1\t🦀 "),
            ("blanks", "\u{a0}\u{2003} a b \u{3000}"),
            ("blank", " "),
            ("empty", ""),
            ("zero", "b\0c"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let encoded = encode(&header);
        let value = encoded.get("Content-Type").unwrap().as_str();
        assert_eq!(value, "application/json; charset=utf-8");
        for (_, values) in encoded.iter() {
            let value = values[0].as_str();
            assert!(!value.contains(['\r', '\n', '\0']), "{value:?}");
            assert_eq!(value.trim(), value);
        }
        assert_eq!(decode(&encoded), header);
    }
}
