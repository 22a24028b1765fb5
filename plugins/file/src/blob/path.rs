//! Where a blob's file is: its namespace and key, written so that any text is a path.
//!
//! Each is percent-encoded and cut into pieces that fit a file's name. A piece ends with a mark
//! that the encoding does not use: `+` if more pieces follow, `@` at the end of a namespace, `=`
//! at the end of a key. So no piece is empty, and no blob's file is another's folder.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use micro_plugin_api::{Error, Result, blob::BlobKey};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What is written otherwise. What people put into names stays readable.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// The longest piece, in bytes: a file's name may have 255.
const PIECE: usize = 200;

/// The longest namespace and key together, in bytes, when they are encoded: a path may have 4096.
const LONGEST: usize = 3_000;

pub(super) const MORE: char = '+';
pub(super) const NAMESPACE: char = '@';
pub(super) const KEY: char = '=';

/// The folder of blobs that are being written.
pub(super) fn unfinished(folder: &Path) -> PathBuf {
    folder.join("unfinished")
}

/// The file of a blob.
///
/// # Errors
/// `invalid` for a namespace and key that are too long for a path.
pub(super) fn of(folder: &Path, key: BlobKey<'_>) -> Result<PathBuf> {
    let namespace = encode(key.namespace);
    let encoded = encode(key.key);
    if namespace.len() + encoded.len() > LONGEST {
        return Err(Error::invalid(format!(
            "the namespace and key of a blob take {} bytes in a path; at most {LONGEST} do",
            namespace.len() + encoded.len()
        )));
    }
    let mut path = folder.to_owned();
    push(&mut path, &namespace, NAMESPACE);
    push(&mut path, &encoded, KEY);
    Ok(path)
}

/// The folder of a namespace; none for one that is too long to have blobs.
pub(super) fn of_namespace(folder: &Path, namespace: &str) -> Option<PathBuf> {
    let encoded = encode(namespace);
    if encoded.len() > LONGEST {
        return None;
    }
    let mut path = folder.to_owned();
    push(&mut path, &encoded, NAMESPACE);
    Some(path)
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

fn push(path: &mut PathBuf, mut encoded: &str, mark: char) {
    while let Some((piece, rest)) = encoded.split_at_checked(PIECE)
        && !rest.is_empty()
    {
        path.push(format!("{piece}{MORE}"));
        encoded = rest;
    }
    path.push(format!("{encoded}{mark}"));
}

/// A name as it was pushed: the piece of the encoded text, and its mark.
pub(super) fn piece(name: &OsStr) -> Option<(&str, char)> {
    let name = name.to_str()?;
    let mark = name.chars().next_back()?;
    Some((name.strip_suffix(mark)?, mark))
}

/// The text that was encoded.
pub(super) fn decode(encoded: &str) -> Option<String> {
    let text = percent_decode_str(encoded).decode_utf8().ok()?;
    Some(text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_is_a_path_of_its_own() {
        let long = "é".repeat(200);
        let texts = [
            "",
            ".",
            "..",
            "/",
            "a/b",
            "a+",
            "a=",
            "a@",
            "%",
            "%2F",
            "\0",
            "unfinished",
            &long,
        ];
        let mut paths = Vec::new();
        for namespace in texts {
            for key in texts {
                let path = of(Path::new("/x"), BlobKey::new(namespace, key)).unwrap();
                assert!(path.starts_with(of_namespace(Path::new("/x"), namespace).unwrap()));
                assert!(!path.starts_with(unfinished(Path::new("/x"))));
                let names = path.iter().skip(1);
                assert!(
                    names
                        .clone()
                        .all(|name| name.len() <= PIECE + 1 && name != "." && name != "..")
                );
                let keys: String = names
                    .skip_while(|name| !matches!(piece(name), Some((_, NAMESPACE))))
                    .skip(1)
                    .filter_map(|name| Some(piece(name)?.0))
                    .collect();
                assert_eq!(decode(&keys).as_deref(), Some(key));
                paths.push(path);
            }
        }
        let count = paths.len();
        paths.sort();
        paths.dedup();
        assert_eq!(paths.len(), count);
        assert!(of(Path::new("/x"), BlobKey::new("", &"x".repeat(4_000))).is_err());
    }
}
