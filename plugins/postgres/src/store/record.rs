//! A record's parts as they stand in columns.

use std::collections::BTreeMap;

use bytes::Bytes;
use micro_plugin_api::store::{Expiry, Record, Version};
use sqlx::{Row as _, postgres::PgRow};

/// An expiry as a column. Those beyond the column's range are as good as never, and are the last
/// there.
pub(super) fn expiry_to_column(expiry: Option<Expiry>) -> Option<i64> {
    expiry.map(|expiry| i64::try_from(expiry.0).unwrap_or(i64::MAX))
}

fn expiry_from_column(expiry: Option<i64>) -> Option<Expiry> {
    expiry.map(|expiry| match expiry {
        i64::MAX => Expiry(u64::MAX),
        expiry => Expiry(expiry.try_into().unwrap_or(0)),
    })
}

/// A version as a column; `None` for one that this store never gave.
pub(super) fn version_from_column(version: i64) -> Version {
    Version(version.try_into().unwrap_or(0))
}

/// Metadata as a column: JSON text, as bytes because it may hold U+0000.
pub(super) fn metadata_to_column(metadata: &BTreeMap<String, String>) -> Vec<u8> {
    if metadata.is_empty() {
        return Vec::new();
    }
    serde_json::to_vec(metadata).unwrap_or_default()
}

fn metadata_from_column(column: &[u8]) -> sqlx::Result<BTreeMap<String, String>> {
    if column.is_empty() {
        return Ok(BTreeMap::new());
    }
    serde_json::from_slice(column).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// The record `key` of a row with the columns `value`, `metadata`, `version` and `expiry`.
pub(super) fn whole(key: String, row: &PgRow) -> sqlx::Result<Record> {
    Ok(Record {
        value: Bytes::copy_from_slice(row.try_get("value")?),
        metadata: metadata_from_column(row.try_get("metadata")?)?,
        ..only_key(key, row)?
    })
}

/// The record `key` of a row with the columns `version` and `expiry`, without value and metadata.
pub(super) fn only_key(key: String, row: &PgRow) -> sqlx::Result<Record> {
    Ok(Record {
        key,
        value: Bytes::new(),
        metadata: BTreeMap::new(),
        version: version_from_column(row.try_get("version")?),
        expiry: expiry_from_column(row.try_get("expiry")?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_beyond_the_column_is_still_far_away() {
        for (expiry, wanted) in [
            (None, None),
            (Some(0), Some(0)),
            (Some(u64::MAX), Some(u64::MAX)),
            (Some(1 << 63), Some(u64::MAX)),
        ] {
            let seen = expiry_from_column(expiry_to_column(expiry.map(Expiry)));
            assert_eq!(seen, wanted.map(Expiry));
        }
    }
}
