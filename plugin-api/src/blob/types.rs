//! The types of the `blob` module.

use crate::store::Cursor;

/// Which blob of which namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlobKey<'a> {
    /// The namespace: the unit of isolation.
    pub namespace: &'a str,
    /// The key within it; never empty.
    pub key: &'a str,
}

impl<'a> BlobKey<'a> {
    /// The blob `key` of `namespace`.
    pub const fn new(namespace: &'a str, key: &'a str) -> Self {
        Self { namespace, key }
    }
}

/// What a writer says of a blob.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlobMeta {
    /// The media type of the bytes; empty when not known.
    pub content_type: String,
    /// Whether a backend that can serve blobs to anybody (S3) may do so.
    pub public: bool,
}

/// What is known of a stored blob.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlobInfo {
    /// The key.
    pub key: String,
    /// How many bytes it has.
    pub size: u64,
    /// What its writer said of it.
    pub meta: BlobMeta,
}

/// Which blobs to list.
#[derive(Clone, Debug, Default)]
pub struct BlobQuery<'a> {
    /// The namespace.
    pub namespace: &'a str,
    /// Keys that begin so; empty for all. Taken literally.
    pub prefix: &'a str,
    /// At most so many in this page; zero leaves it to the backend.
    pub limit: usize,
    /// Where to go on: the `next` of the page before, under the same query.
    pub cursor: Option<&'a Cursor>,
}

/// One page of a list of blobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlobPage {
    /// The blobs, in key order.
    pub blobs: Vec<BlobInfo>,
    /// Where the next page begins; `None` when this was the last.
    pub next: Option<Cursor>,
}
