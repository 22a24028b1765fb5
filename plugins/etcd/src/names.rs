//! How names become parts of etcd's keys: readable with `etcdctl`, and never in each other's way.
//!
//! A key is the prefix, the module, and the names down to what is stored, with slashes between.
//! Slashes within a name are escaped, so that no name can reach into another's keys.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode, utf8_percent_encode};

/// What is escaped in a name: the separator, the escape, and what a terminal would not show.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'/').add(b'%').add(b' ');

/// The keys of these names, one below the other: `a/b/`.
pub(crate) fn folder<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut key = String::new();
    for name in names {
        key.extend(utf8_percent_encode(name, ESCAPED));
        key.push('/');
    }
    key
}

/// The name that `key` begins with, and what is behind its slash.
pub(crate) fn split(key: &[u8]) -> Option<(String, &[u8])> {
    let end = key.iter().position(|&byte| byte == b'/')?;
    let name = percent_decode(&key[..end]).decode_utf8().ok()?;
    Some((name.into_owned(), &key[end + 1..]))
}

/// The first key behind all that begin with `prefix`.
pub(crate) fn beyond(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_reaches_into_another() {
        let names = ["", "a", "a/", "a/b", "a%2Fb", "%", "b", "é", "a b", "\0"];
        let mut folders = Vec::new();
        for first in names {
            for second in names {
                folders.push((folder([first, second]), (first, second)));
            }
        }
        for (one, names) in &folders {
            let beginnings = folders.iter().filter(|(other, _)| other.starts_with(one));
            assert_eq!(beginnings.count(), 1, "{one:?}");
            let (first, rest) = split(one.as_bytes()).expect("a name");
            let (second, rest) = split(rest).expect("a name");
            assert_eq!((first.as_str(), second.as_str()), *names);
            assert!(rest.is_empty());
        }
    }

    #[test]
    fn beyond_is_behind_all_that_begin_so() {
        assert_eq!(beyond(b"micro/"), b"micro0");
        assert_eq!(beyond(b"a\xff\xff"), b"b");
    }
}
