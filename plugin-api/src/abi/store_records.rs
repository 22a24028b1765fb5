//! The records of `micro.store/1` and `micro.blob/1`: requests lend their texts, answers own them.

use abi_stable::{
    StableAbi,
    std_types::{ROption, RStr, RString, RVec},
};

use super::{
    buffer::Buffer,
    records::{PairRecord, PairRef},
};
use crate::{
    Bytes, Error, Result,
    blob::{BlobInfo, BlobMeta, BlobPage, BlobQuery},
    store::{
        Commit, Cursor, Expiry, Fields, ListQuery, Operation, Order, Page, Precondition, Put,
        Record, RecordChange, Table, Version,
    },
};

#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub(crate) struct TableRef<'a> {
    pub(crate) database: RStr<'a>,
    pub(crate) table: RStr<'a>,
}

impl<'a> From<Table<'a>> for TableRef<'a> {
    fn from(table: Table<'a>) -> Self {
        Self {
            database: table.database.into(),
            table: table.table.into(),
        }
    }
}

impl<'a> From<TableRef<'a>> for Table<'a> {
    fn from(table: TableRef<'a>) -> Self {
        Self::new(table.database.as_str(), table.table.as_str())
    }
}

#[repr(C)]
#[derive(StableAbi)]
pub(crate) struct RecordRecord {
    pub(super) key: RString,
    pub(super) value: Buffer,
    pub(super) metadata: RVec<PairRecord>,
    version: u64,
    expiry: ROption<u64>,
}

impl From<Record> for RecordRecord {
    fn from(record: Record) -> Self {
        Self {
            key: record.key.into(),
            value: record.value.into(),
            metadata: record
                .metadata
                .into_iter()
                .map(|(key, value)| PairRecord {
                    key: key.into(),
                    value: value.into(),
                })
                .collect(),
            version: record.version.0,
            expiry: record.expiry.map(|expiry| expiry.0).into(),
        }
    }
}

impl From<RecordRecord> for Record {
    fn from(record: RecordRecord) -> Self {
        Self {
            key: record.key.into_string(),
            value: record.value.into(),
            metadata: record
                .metadata
                .into_iter()
                .map(|pair| (pair.key.into_string(), pair.value.into_string()))
                .collect(),
            version: Version(record.version),
            expiry: record.expiry.into_option().map(Expiry),
        }
    }
}

/// A record that was written; with `deleted`, one of which key and version alone are told.
#[repr(C)]
#[derive(StableAbi)]
pub(crate) struct RecordChangeRecord {
    deleted: bool,
    pub(super) record: RecordRecord,
}

impl From<RecordChange> for RecordChangeRecord {
    fn from(change: RecordChange) -> Self {
        match change {
            RecordChange::Put(record) => Self {
                deleted: false,
                record: record.into(),
            },
            RecordChange::Deleted { key, version } => Self {
                deleted: true,
                record: RecordRecord {
                    key: key.into(),
                    value: Bytes::new().into(),
                    metadata: RVec::new(),
                    version: version.0,
                    expiry: ROption::RNone,
                },
            },
        }
    }
}

impl From<RecordChangeRecord> for RecordChange {
    fn from(change: RecordChangeRecord) -> Self {
        if change.deleted {
            Self::Deleted {
                key: change.record.key.into_string(),
                version: Version(change.record.version),
            }
        } else {
            Self::Put(change.record.into())
        }
    }
}

const DESCENDING: u32 = 1;
const KEYS_ALONE: u32 = 2;

#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub(crate) struct ListRef<'a> {
    prefix: RStr<'a>,
    suffix: RStr<'a>,
    flags: u32,
    limit: u64,
    cursor: ROption<RStr<'a>>,
    skip: u64,
}

impl<'a> From<&'a ListQuery<'a>> for ListRef<'a> {
    fn from(query: &'a ListQuery<'a>) -> Self {
        let mut flags = 0;
        if query.order == Order::Descending {
            flags |= DESCENDING;
        }
        if query.fields == Fields::Keys {
            flags |= KEYS_ALONE;
        }
        Self {
            prefix: query.prefix.into(),
            suffix: query.suffix.into(),
            flags,
            limit: query.limit as u64,
            cursor: query.cursor.map(|cursor| cursor.0.as_str().into()).into(),
            skip: query.skip,
        }
    }
}

/// [`ListQuery`] with its texts; a [`ListQuery`] can only borrow its cursor.
pub(crate) struct OwnedListQuery {
    prefix: String,
    suffix: String,
    order: Order,
    fields: Fields,
    limit: usize,
    cursor: Option<Cursor>,
    skip: u64,
}

impl From<ListRef<'_>> for OwnedListQuery {
    fn from(query: ListRef<'_>) -> Self {
        Self {
            prefix: query.prefix.into(),
            suffix: query.suffix.into(),
            order: if query.flags & DESCENDING != 0 {
                Order::Descending
            } else {
                Order::Ascending
            },
            fields: if query.flags & KEYS_ALONE != 0 {
                Fields::Keys
            } else {
                Fields::All
            },
            limit: query.limit.try_into().unwrap_or(usize::MAX),
            cursor: query.cursor.into_option().map(|text| Cursor(text.into())),
            skip: query.skip,
        }
    }
}

impl OwnedListQuery {
    pub(crate) fn as_query(&self) -> ListQuery<'_> {
        ListQuery {
            prefix: &self.prefix,
            suffix: &self.suffix,
            order: self.order,
            limit: self.limit,
            cursor: self.cursor.as_ref(),
            skip: self.skip,
            fields: self.fields,
        }
    }
}

#[repr(C)]
#[derive(StableAbi)]
pub(crate) struct PageRecord {
    records: RVec<RecordRecord>,
    next: ROption<RString>,
}

impl From<Page> for PageRecord {
    fn from(page: Page) -> Self {
        Self {
            records: page.records.into_iter().map(Into::into).collect(),
            next: page.next.map(|cursor| cursor.0.into()).into(),
        }
    }
}

impl From<PageRecord> for Page {
    fn from(page: PageRecord) -> Self {
        Self {
            records: page.records.into_iter().map(Into::into).collect(),
            next: page.next.into_option().map(|text| Cursor(text.into())),
        }
    }
}

const ANY: u32 = 0;
const ABSENT: u32 = 1;
const VERSION: u32 = 2;

#[repr(C)]
#[derive(StableAbi)]
pub(crate) struct PutRef<'a> {
    value: Buffer,
    metadata: RVec<PairRef<'a>>,
    expiry: ROption<u64>,
}

#[repr(C)]
#[derive(StableAbi)]
pub(crate) struct OperationRef<'a> {
    table: TableRef<'a>,
    key: RStr<'a>,
    precondition: u32,
    version: u64,
    put: ROption<PutRef<'a>>,
}

impl<'a> From<&'a Operation> for OperationRef<'a> {
    fn from(operation: &'a Operation) -> Self {
        let (precondition, version) = match operation.precondition {
            Precondition::Any => (ANY, 0),
            Precondition::Absent => (ABSENT, 0),
            Precondition::Version(version) => (VERSION, version.0),
        };
        Self {
            table: Table::new(&operation.database, &operation.table).into(),
            key: operation.key.as_str().into(),
            precondition,
            version,
            put: operation
                .put
                .as_ref()
                .map(|put| PutRef {
                    value: put.value.clone().into(),
                    metadata: put
                        .metadata
                        .iter()
                        .map(|(key, value)| PairRef {
                            key: key.as_str().into(),
                            value: value.as_str().into(),
                        })
                        .collect(),
                    expiry: put.expiry.map(|expiry| expiry.0).into(),
                })
                .into(),
        }
    }
}

impl TryFrom<OperationRef<'_>> for Operation {
    type Error = Error;

    fn try_from(operation: OperationRef<'_>) -> Result<Self> {
        Ok(Self {
            database: operation.table.database.into(),
            table: operation.table.table.into(),
            key: operation.key.into(),
            precondition: match operation.precondition {
                ANY => Precondition::Any,
                ABSENT => Precondition::Absent,
                VERSION => Precondition::Version(Version(operation.version)),
                // To guess would be to write what must not be written.
                other => {
                    return Err(Error::unsupported(format!(
                        "this plugin does not know the precondition {other}; build it against a newer micro-plugin-api"
                    )));
                }
            },
            put: operation.put.into_option().map(|put| Put {
                value: put.value.into(),
                metadata: put
                    .metadata
                    .into_iter()
                    .map(|pair| (pair.key.into(), pair.value.into()))
                    .collect(),
                expiry: put.expiry.into_option().map(Expiry),
            }),
        })
    }
}

pub(crate) fn lend_commit(commit: &Commit) -> RVec<OperationRef<'_>> {
    commit.operations.iter().map(Into::into).collect()
}

pub(crate) fn own_commit(operations: RVec<OperationRef<'_>>) -> Result<Commit> {
    Ok(Commit {
        operations: operations
            .into_iter()
            .map(TryInto::try_into)
            .collect::<Result<_>>()?,
    })
}

#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub(crate) struct BlobKeyRef<'a> {
    pub(crate) namespace: RStr<'a>,
    pub(crate) key: RStr<'a>,
}

#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub(crate) struct BlobMetaRef<'a> {
    pub(crate) content_type: RStr<'a>,
    pub(crate) public: bool,
}

impl<'a> From<&'a BlobMeta> for BlobMetaRef<'a> {
    fn from(meta: &'a BlobMeta) -> Self {
        Self {
            content_type: meta.content_type.as_str().into(),
            public: meta.public,
        }
    }
}

impl From<BlobMetaRef<'_>> for BlobMeta {
    fn from(meta: BlobMetaRef<'_>) -> Self {
        Self {
            content_type: meta.content_type.into(),
            public: meta.public,
        }
    }
}

#[repr(C)]
#[derive(StableAbi)]
pub(crate) struct BlobInfoRecord {
    key: RString,
    size: u64,
    content_type: RString,
    public: bool,
}

impl From<BlobInfo> for BlobInfoRecord {
    fn from(info: BlobInfo) -> Self {
        Self {
            key: info.key.into(),
            size: info.size,
            content_type: info.meta.content_type.into(),
            public: info.meta.public,
        }
    }
}

impl From<BlobInfoRecord> for BlobInfo {
    fn from(info: BlobInfoRecord) -> Self {
        Self {
            key: info.key.into_string(),
            size: info.size,
            meta: BlobMeta {
                content_type: info.content_type.into_string(),
                public: info.public,
            },
        }
    }
}

#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub(crate) struct BlobListRef<'a> {
    pub(crate) namespace: RStr<'a>,
    pub(crate) prefix: RStr<'a>,
    pub(crate) limit: u64,
    pub(crate) cursor: ROption<RStr<'a>>,
}

impl<'a> From<&'a BlobQuery<'a>> for BlobListRef<'a> {
    fn from(query: &'a BlobQuery<'a>) -> Self {
        Self {
            namespace: query.namespace.into(),
            prefix: query.prefix.into(),
            limit: query.limit as u64,
            cursor: query.cursor.map(|cursor| cursor.0.as_str().into()).into(),
        }
    }
}

#[repr(C)]
#[derive(StableAbi)]
pub(crate) struct BlobPageRecord {
    blobs: RVec<BlobInfoRecord>,
    next: ROption<RString>,
}

impl From<BlobPage> for BlobPageRecord {
    fn from(page: BlobPage) -> Self {
        Self {
            blobs: page.blobs.into_iter().map(Into::into).collect(),
            next: page.next.map(|cursor| cursor.0.into()).into(),
        }
    }
}

impl From<BlobPageRecord> for BlobPage {
    fn from(page: BlobPageRecord) -> Self {
        Self {
            blobs: page.blobs.into_iter().map(Into::into).collect(),
            next: page.next.into_option().map(|text| Cursor(text.into())),
        }
    }
}
