//! A record as etcd's value: its expiry and metadata before the value, under a checksum.
//!
//! ```text
//! format (1) | checksum of what follows, and of the key (4) | expiry, 0 for none (8)
//! | length of the metadata (4) | metadata, a JSON object or nothing | value
//! ```
//! Numbers are little-endian. The version is etcd's own: the revision that wrote the key.

use std::collections::BTreeMap;

use etcd_client::KeyValue;
use micro_plugin_api::{
    Bytes, Error, Result,
    store::{Expiry, Put, Record, Version},
};

const FORMAT: u8 = 1;

/// Where the expiry begins, which is where the checksum does.
const EXPIRY: usize = 5;
const LENGTH: usize = EXPIRY + 8;
const METADATA: usize = LENGTH + 4;

/// An expiry that says that there is none. A record with an expiry of 0 is stored with 1, which has
/// passed as well.
const NONE: u64 = 0;

/// The value under which a record is stored.
pub(super) fn encode(key: &[u8], put: &Put) -> Result<Vec<u8>> {
    let metadata = match put.metadata.is_empty() {
        true => Vec::new(),
        false => serde_json::to_vec(&put.metadata)
            .map_err(|error| Error::internal(format!("metadata as JSON: {error}")))?,
    };
    let length = u32::try_from(metadata.len())
        .map_err(|_| Error::invalid("the metadata has more than 4 GiB"))?;
    let expiry = put.expiry.map_or(NONE, |expiry| expiry.0.max(1));
    let mut bytes = Vec::with_capacity(METADATA + metadata.len() + put.value.len());
    bytes.push(FORMAT);
    bytes.extend([0; 4]);
    bytes.extend(expiry.to_le_bytes());
    bytes.extend(length.to_le_bytes());
    bytes.extend(metadata);
    bytes.extend_from_slice(&put.value);
    let checksum = checksum(key, &bytes);
    bytes[1..EXPIRY].copy_from_slice(&checksum.to_le_bytes());
    Ok(bytes)
}

/// What is known of a record without its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) version: Version,
    pub(super) expiry: Option<Expiry>,
}

impl Head {
    pub(super) fn has_expired(self) -> bool {
        self.expiry.is_some_and(Expiry::has_passed)
    }
}

/// The head of what is stored; `None` if it is damaged.
pub(super) fn head(stored: &KeyValue) -> Option<Head> {
    let bytes = stored.value();
    let promised = u32::from_le_bytes(bytes.get(1..EXPIRY)?.try_into().ok()?);
    if bytes[0] != FORMAT || promised != checksum(stored.key(), bytes) {
        return None;
    }
    let expiry = bytes.get(EXPIRY..LENGTH)?.try_into().ok()?;
    let expiry = u64::from_le_bytes(expiry);
    Some(Head {
        version: version(stored.mod_revision()),
        expiry: (expiry != NONE).then_some(Expiry(expiry)),
    })
}

/// The record that is stored under the key `key` of its table; `None` if it is damaged.
pub(super) fn decode(key: String, stored: KeyValue) -> Option<Record> {
    let head = head(&stored)?;
    let (_, bytes) = stored.into_key_value();
    let bytes = Bytes::from(bytes);
    let length = bytes.get(LENGTH..METADATA)?.try_into().ok()?;
    let value = METADATA.checked_add(u32::from_le_bytes(length).try_into().ok()?)?;
    let metadata = match bytes.get(METADATA..value)? {
        [] => BTreeMap::new(),
        json => serde_json::from_slice(json).ok()?,
    };
    Some(Record {
        key,
        value: bytes.slice(value..),
        metadata,
        version: head.version,
        expiry: head.expiry,
    })
}

/// The version of what a revision of etcd wrote.
pub(super) fn version(revision: i64) -> Version {
    Version(revision.try_into().unwrap_or(0))
}

/// Over the key too, so that a value under another's key is noticed.
fn checksum(key: &[u8], bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(key), &bytes[EXPIRY.min(bytes.len())..])
}
