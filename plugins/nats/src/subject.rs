//! Names that NATS can hold: any text as one token of a subject.

use std::fmt::Write as _;

/// `text` as one token of a subject, or as the name of a queue: letters, digits and a few signs
/// stay, every other byte is `%` and two hexadecimal digits. Different texts give different tokens.
pub(crate) fn token(text: &str) -> String {
    escaped(text, |byte| {
        byte.is_ascii_alphanumeric() || b"-_/:@=+,!~".contains(&byte)
    })
}

/// `text` with those bytes alone as they are that `keep` says; `%` is never kept.
pub(crate) fn escaped(text: &str, keep: impl Fn(u8) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte != b'%' && keep(byte) {
            continue;
        }
        escaped.push_str(text.get(plain..at).unwrap_or_default());
        // Writing to a string cannot fail.
        let _ = write!(escaped, "%{byte:02X}");
        plain = at + 1;
    }
    escaped.push_str(text.get(plain..).unwrap_or_default());
    escaped
}

/// What [`escaped`] was made of; `None` if it was not made like that.
pub(crate) fn unescaped(escaped: &str) -> Option<String> {
    let mut parts = escaped.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(part.get(2..)?.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_a_token_and_comes_back() {
        for text in [
            "a",
            "a.b",
            "*",
            ">",
            "a b",
            "100%",
            "é\n\0",
            "日本語🦀",
            "%2E",
            "",
        ] {
            let token = token(text);
            let plain = |c: char| c.is_ascii_graphic() && !".*>".contains(c);
            assert!(token.chars().all(plain), "{token}");
            assert_eq!(unescaped(&token).as_deref(), Some(text));
        }
        assert_eq!(token("orders.created"), "orders%2Ecreated");
        assert_ne!(token("%2E"), token("."));
        for broken in ["%", "%2", "%zz", "%FF", "%é"] {
            assert_eq!(unescaped(broken), None, "{broken}");
        }
    }
}
