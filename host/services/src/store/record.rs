//! Records of the wire and records of the module.

use std::time::Duration;

use micro_plugin_api::store::{Expiry, Put, Record, RecordChange};
use micro_proto::store::{self as proto, Field, WatchResponse};

/// The type of a metadata field as it is read: values are kept as text, whatever they were.
const TEXT: &str = "string";

/// What a written record is to the store. Its expiry is in seconds from now; zero is never.
///
/// # Errors
/// What is wrong with it, for the one who wrote it.
pub(super) fn to_put(record: proto::Record) -> Result<Put, String> {
    let expiry = match u64::try_from(record.expiry) {
        Ok(0) => None,
        Ok(seconds) => Some(Expiry::after(Duration::from_secs(seconds))),
        Err(_) => {
            return Err(format!(
                "expiry is {} seconds; give the seconds from now until the record expires, or 0 to keep it",
                record.expiry
            ));
        }
    };
    let metadata = record.metadata.into_iter();
    Ok(Put {
        value: record.value,
        metadata: metadata.map(|(name, field)| (name, field.value)).collect(),
        expiry,
    })
}

/// A read record as it is told: its expiry in the whole seconds that are left, but never in none,
/// which would say that it does not expire. Its version is told only to those who ask.
pub(super) fn to_proto(record: Record, version: bool) -> proto::Record {
    let left = |expiry: Expiry| expiry.remaining().as_secs().max(1);
    let seconds = record.expiry.map_or(0, left);
    let metadata = record.metadata.into_iter();
    proto::Record {
        key: record.key,
        value: record.value,
        expiry: seconds.try_into().unwrap_or(i64::MAX),
        metadata: metadata.map(|(name, value)| (name, field(value))).collect(),
        version: version.then_some(record.version.0),
    }
}

/// A change as a watcher is told it.
pub(super) fn change_to_proto(change: RecordChange) -> WatchResponse {
    match change {
        RecordChange::Put(record) => WatchResponse {
            record: Some(to_proto(record, true)),
            deleted: false,
        },
        RecordChange::Deleted { key, version } => WatchResponse {
            record: Some(proto::Record {
                key,
                version: Some(version.0),
                ..proto::Record::default()
            }),
            deleted: true,
        },
    }
}

fn field(value: String) -> Field {
    Field {
        r#type: TEXT.to_owned(),
        value,
    }
}
