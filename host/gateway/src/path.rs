//! From the path of a URL to a service and an endpoint.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// What a path segment cannot hold as it is.
const ESCAPED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// What a path calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Called {
    /// The registry name.
    pub(crate) service: String,
    /// The handler, `Foo` of `Foo.Bar`.
    pub(crate) handler: String,
    /// The method, `Bar` of `Foo.Bar`.
    pub(crate) method: String,
}

/// The path with its escapes undone; `None` if that is no text.
pub(crate) fn decode(path: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(path).decode_utf8().ok()
}

/// Where a path should have gone, escaped, if it is not written in the shortest way: it has empty
/// segments, `.` or `..`. A slash at the end is nobody's business.
pub(crate) fn canonical(path: &str) -> Option<String> {
    if !path.contains("//") && !path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return None;
    }
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    let mut clean = String::with_capacity(path.len());
    for segment in &segments {
        clean.push('/');
        clean.extend(utf8_percent_encode(segment, ESCAPED));
    }
    if path.ends_with('/') || clean.is_empty() {
        clean.push('/');
    }
    Some(clean)
}

/// What a canonical, decoded path calls; `None` if it has no segment.
///
/// The last two segments are handler and method, what is before them is the service. With fewer
/// segments the service gives the handler its name, and the method is `Call` if there is none; so
/// it is with three of which the first is a version (`v1`).
pub(crate) fn called(path: &str) -> Option<Called> {
    let mut parts = path.trim_matches('/').split('/').collect::<Vec<_>>();
    if parts == [""] {
        return None;
    }
    let version = is_version(parts[0]);
    let method = match parts.len() {
        1 => "Call",
        _ => parts.pop()?,
    };
    let handler = match parts.as_slice() {
        [service] => *service,
        [_, name] if version => *name,
        _ => parts.pop()?,
    };
    Some(Called {
        service: parts.join("."),
        handler: camel(handler),
        method: camel(method),
    })
}

fn is_version(part: &str) -> bool {
    part.strip_prefix('v')
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// `do-it` as `DoIt`; all but the first letter of each word stays as it is.
fn camel(part: &str) -> String {
    let mut name = String::with_capacity(part.len());
    for word in part.split('-') {
        let mut letters = word.chars();
        if let Some(first) = letters.next() {
            name.extend(first.to_uppercase());
            name.push_str(letters.as_str());
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for (path, service, endpoint) in [
            ("/foo", "foo", "Foo.Call"),
            ("/foo/bar", "foo", "Foo.Bar"),
            ("/foo/foo/bar", "foo", "Foo.Bar"),
            ("/foo-bar/do-it", "foo-bar", "FooBar.DoIt"),
            ("/foo/bar/baz", "foo", "Bar.Baz"),
            ("/foo/bar/baz-xyz", "foo", "Bar.BazXyz"),
            ("/foo/bar/baz/cat", "foo.bar", "Baz.Cat"),
            ("/foo/bar/baz/cat/car", "foo.bar.baz", "Cat.Car"),
            ("/foo/fooBar/bazCat", "foo", "FooBar.BazCat"),
            ("/v1/foo", "v1", "V1.Foo"),
            ("/v1/foo/bar", "v1.foo", "Foo.Bar"),
            ("/v1/foo/bar/baz", "v1.foo", "Bar.Baz"),
            ("/v1/foo/bar/baz/cat", "v1.foo.bar", "Baz.Cat"),
            ("/v2/foo/bar", "v2.foo", "Foo.Bar"),
            ("/v9999/foo/bar", "v9999.foo", "Foo.Bar"),
            ("/version/foo/bar", "version", "Foo.Bar"),
            ("/v/foo/bar", "v", "Foo.Bar"),
            (
                "/registry/listServices",
                "registry",
                "Registry.ListServices",
            ),
            ("/helloworld/call/", "helloworld", "Helloworld.Call"),
            ("/v1", "v1", "V1.Call"),
        ] {
            let got = called(path).unwrap();
            let got = (
                got.service.as_str(),
                format!("{}.{}", got.handler, got.method),
            );
            assert_eq!(got, (service, endpoint.to_owned()), "{path}");
        }
        assert_eq!(called("/"), None);
    }

    #[test]
    fn canonical_paths() {
        for (path, clean) in [
            ("/", None),
            ("/foo/bar/", None),
            ("/foo/.bar/..baz", None),
            ("/helloworld//call", Some("/helloworld/call")),
            ("/helloworld/../store/list", Some("/store/list")),
            ("/a/./b/", Some("/a/b/")),
            ("/../..", Some("/")),
            ("//evil.example/", Some("/evil.example/")),
            ("//a b?", Some("/a%20b%3F")),
        ] {
            assert_eq!(canonical(path).as_deref(), clean, "{path}");
        }
    }
}
