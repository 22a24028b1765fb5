//! A record as the engine keeps it: a checksum of our own over its key and all that it holds.
//!
//! The engine has checksums of its blocks. This one is over what we gave it, so that whatever
//! damages a record on its way to the disk and back, it is an error and never an answer.

use std::collections::BTreeMap;

use bytes::{Buf as _, Bytes};
use micro_plugin_api::store::{Expiry, Put, Record, Version};
use xxhash_rust::xxh3::Xxh3;

/// Checksum, version and expiry stand in front: 8 bytes each, little-endian.
const HEAD: usize = 24;

/// No expiry. The last moment itself cannot be told from it, and is as good.
const NEVER: u64 = u64::MAX;

/// A record's bytes do not have the checksum that stands with them, or do not read as a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damaged;

/// What preconditions and lists of keys need of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) version: Version,
    pub(super) expiry: Option<Expiry>,
}

impl Head {
    /// Whether the record is absent by now.
    pub(super) fn has_expired(self) -> bool {
        self.expiry.is_some_and(Expiry::has_passed)
    }
}

/// The bytes of a record under the engine's key `key`.
pub(super) fn encode(key: &[u8], version: Version, put: &Put) -> Vec<u8> {
    let metadata: usize = put
        .metadata
        .iter()
        .map(|(k, v)| k.len() + v.len() + 8)
        .sum();
    let mut bytes = Vec::with_capacity(HEAD + 4 + metadata + put.value.len());
    bytes.extend([0; 8]);
    bytes.extend(version.0.to_le_bytes());
    bytes.extend(put.expiry.map_or(NEVER, |expiry| expiry.0).to_le_bytes());
    bytes.extend(length(put.metadata.len()));
    for (name, value) in &put.metadata {
        for text in [name, value] {
            bytes.extend(length(text.len()));
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    bytes.extend_from_slice(&put.value);
    let sum = checksum(key, &bytes).to_le_bytes();
    bytes[..8].copy_from_slice(&sum);
    bytes
}

/// A text of 4 GiB would never come through the doors, which take a few MiB.
fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}

fn checksum(key: &[u8], bytes: &[u8]) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(key);
    hasher.update(bytes.get(8..).unwrap_or_default());
    hasher.digest()
}

/// The head of a record, once the checksum has been found right.
///
/// # Errors
/// [`Damaged`] if it is not.
pub(super) fn verify(key: &[u8], bytes: &[u8]) -> Result<Head, Damaged> {
    let mut head = bytes.get(..HEAD).ok_or(Damaged)?;
    let (sum, version, expiry) = (head.get_u64_le(), head.get_u64_le(), head.get_u64_le());
    if sum != checksum(key, bytes) {
        return Err(Damaged);
    }
    Ok(Head {
        version: Version(version),
        expiry: (expiry != NEVER).then_some(Expiry(expiry)),
    })
}

/// The whole record, once the checksum has been found right.
///
/// # Errors
/// [`Damaged`] if it is not.
pub(super) fn decode(key: &[u8], name: &str, bytes: &[u8]) -> Result<Record, Damaged> {
    let head = verify(key, bytes)?;
    let rest = bytes.get(HEAD..).ok_or(Damaged)?;
    let (metadata, value) = body(rest).ok_or(Damaged)?;
    Ok(Record {
        key: name.to_owned(),
        // Copied: a part of the engine's block would keep the whole of it in memory.
        value: Bytes::copy_from_slice(value),
        metadata,
        version: head.version,
        expiry: head.expiry,
    })
}

/// The record without value and metadata.
pub(super) fn only_key(head: Head, name: &str) -> Record {
    Record {
        key: name.to_owned(),
        value: Bytes::new(),
        metadata: BTreeMap::new(),
        version: head.version,
        expiry: head.expiry,
    }
}

fn body(mut rest: &[u8]) -> Option<(BTreeMap<String, String>, &[u8])> {
    let count = rest.try_get_u32_le().ok()?;
    let mut metadata = BTreeMap::new();
    for _ in 0..count {
        let (name, value) = (text(&mut rest)?, text(&mut rest)?);
        metadata.insert(name, value);
    }
    Some((metadata, rest))
}

fn text(rest: &mut &[u8]) -> Option<String> {
    let length = usize::try_from(rest.try_get_u32_le().ok()?).ok()?;
    let text = rest.split_off(..length)?;
    Some(std::str::from_utf8(text).ok()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put() -> Put {
        Put {
            value: Bytes::from_static(b"the value"),
            metadata: [
                ("name".to_owned(), "text".to_owned()),
                (String::new(), String::new()),
            ]
            .into(),
            expiry: Some(Expiry(42)),
        }
    }

    #[test]
    fn a_record_comes_back() {
        for expiry in [None, Some(Expiry(0)), Some(Expiry(42))] {
            let put = Put { expiry, ..put() };
            let bytes = encode(b"key", Version(7), &put);
            let record = decode(b"key", "name", &bytes).unwrap();
            assert_eq!(record.value, put.value);
            assert_eq!(record.metadata, put.metadata);
            assert_eq!((record.version, record.expiry), (Version(7), expiry));
            let head = verify(b"key", &bytes).unwrap();
            assert_eq!((head.version, head.expiry), (Version(7), expiry));
        }
    }

    #[test]
    fn no_flipped_bit_and_no_other_key_goes_unnoticed() {
        let bytes = encode(b"key", Version(7), &put());
        assert_eq!(verify(b"kez", &bytes), Err(Damaged));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(verify(b"key", &damaged), Err(Damaged), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert_eq!(
                verify(b"key", &bytes[..length]),
                Err(Damaged),
                "{length} bytes"
            );
        }
    }
}
