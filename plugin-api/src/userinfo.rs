//! What a URL says of its user (`nats://USER:PASSWORD@HOST`) is no matter for logs and errors.

use std::borrow::Cow;

/// What is shown in its place.
const HIDDEN: &str = "***";

/// A text in which no URL says anything of its user: `nats://***@host` for `nats://me:mine@host`.
///
/// What cannot be told apart is hidden too: everything from `://` to the last `@` on the line, or
/// before the next `://`, since a password may hold any character.
pub fn hide_in_text(text: &str) -> Cow<'_, str> {
    if !text.contains("://") || !text.contains('@') {
        return Cow::Borrowed(text);
    }
    let mut parts = text.split("://");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        shown.push_str("://");
        let line = part.split('\n').next().unwrap_or_default();
        let hidden = part.strip_prefix(HIDDEN);
        match line.rfind('@') {
            // Nothing is hidden twice.
            _ if hidden.is_some_and(|rest| rest.starts_with('@')) => shown.push_str(part),
            Some(at) => {
                shown.push_str(HIDDEN);
                shown.push_str(&part[at..]);
            }
            None => shown.push_str(part),
        }
    }
    Cow::Owned(shown)
}

/// The same of a value that may be a URL, or several: one without a scheme (`me:mine@host`) is known
/// for what it is here.
pub fn hide_in_value(value: &str) -> Cow<'_, str> {
    let first = value.split("://").next().unwrap_or_default();
    let user = first.rfind('@').filter(|at| first[..*at].contains(':'));
    match user {
        Some(at) => {
            let rest = &value[at..];
            Cow::Owned(format!("{HIDDEN}{}", hide_in_text(rest)))
        }
        None => hide_in_text(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_of_urls_are_hidden() {
        for (text, shown) in [
            ("no address", "no address"),
            ("nats://host:4222", "nats://host:4222"),
            ("nats://me:mine@host:4222", "nats://***@host:4222"),
            ("nats://token@host", "nats://***@host"),
            ("nats://me:a/b c@d\"#?@host/x", "nats://***@host/x"),
            (
                "http://me:mine@a:1,http://me:mine@b:2",
                "http://***@a:1,http://***@b:2",
            ),
            ("see http://a:1\nor x@y", "see http://a:1\nor x@y"),
            ("\"http://me:mine@a\": refused; ask x@y", "\"http://***@y"),
            ("me:mine@host", "me:mine@host"),
            ("sleeper@latest", "sleeper@latest"),
        ] {
            assert_eq!(hide_in_text(text), shown, "{text}");
            // Again, it stays as it is.
            assert_eq!(hide_in_text(shown), shown);
        }
    }

    #[test]
    fn a_value_needs_no_scheme() {
        for (value, shown) in [
            ("me:mine@host:4222", "***@host:4222"),
            ("me:mine@a:1,http://me:mine@b:2", "***@a:1,http://***@b:2"),
            ("nats://me:mine@host", "nats://***@host"),
            ("me@example.com", "me@example.com"),
            ("host:4222", "host:4222"),
        ] {
            assert_eq!(hide_in_value(value), shown, "{value}");
        }
    }
}
