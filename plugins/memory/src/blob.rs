//! The blob store: finished blobs behind one lock, their bytes shared with whoever reads them.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Arc, RwLock},
};

use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, stream};
use micro_plugin_api::{
    Blob, ByteStream, Call, Error, Result,
    blob::{BlobInfo, BlobKey, BlobMeta, BlobPage, BlobQuery},
    store::Position,
};

use crate::lock::{read, write};

/// The most blobs of a page whose query names no limit, or a larger one.
const PAGE: usize = 1_000;

/// Chunks smaller than this are copied together, so that a blob which came in a thousand small
/// messages is neither kept nor read as a thousand pieces, and keeps no message alive.
const SMALL: usize = 16 << 10;

/// How large the pieces become that small chunks are copied into.
const PIECE: usize = 64 << 10;

/// Blobs in this process's memory.
#[derive(Debug, Default)]
pub struct MemoryBlob {
    namespaces: RwLock<BTreeMap<String, BTreeMap<String, Stored>>>,
}

#[derive(Clone, Debug)]
struct Stored {
    size: u64,
    meta: BlobMeta,
    pieces: Arc<[Bytes]>,
}

impl Stored {
    fn info(&self, key: &str) -> BlobInfo {
        BlobInfo {
            key: key.to_owned(),
            size: self.size,
            meta: self.meta.clone(),
        }
    }
}

impl MemoryBlob {
    /// An empty blob store.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Blob for MemoryBlob {
    async fn write(
        &self,
        _call: &Call,
        key: BlobKey<'_>,
        meta: &BlobMeta,
        body: ByteStream,
    ) -> Result<BlobInfo> {
        if key.key.is_empty() {
            return Err(Error::invalid("a blob needs a key that is not empty"));
        }
        let pieces = pieces(body).await?;
        let stored = Stored {
            size: pieces.iter().map(|piece| piece.len() as u64).sum(),
            meta: meta.clone(),
            pieces: pieces.into(),
        };
        let info = stored.info(key.key);
        let mut namespaces = write(&self.namespaces);
        let blobs = namespaces.entry(key.namespace.to_owned()).or_default();
        let former = blobs.insert(key.key.to_owned(), stored);
        // Freeing a large blob takes a while; the others need not wait for it.
        drop(namespaces);
        drop(former);
        Ok(info)
    }

    async fn read(&self, _call: &Call, key: BlobKey<'_>) -> Result<(BlobInfo, ByteStream)> {
        let namespaces = read(&self.namespaces);
        let stored = namespaces
            .get(key.namespace)
            .and_then(|blobs| blobs.get(key.key))
            .cloned();
        drop(namespaces);
        let Some(stored) = stored else {
            return Err(Error::not_found(format!(
                "no blob {:?} in namespace {:?}",
                key.key, key.namespace
            )));
        };
        let info = stored.info(key.key);
        let pieces = stream::unfold((stored.pieces, 0), async |(pieces, at)| {
            let piece = pieces.get(at)?.clone();
            Some((Ok(piece), (pieces, at + 1)))
        });
        Ok((info, pieces.boxed()))
    }

    async fn delete(&self, _call: &Call, key: BlobKey<'_>) -> Result<()> {
        let mut namespaces = write(&self.namespaces);
        let Some(blobs) = namespaces.get_mut(key.namespace) else {
            return Ok(());
        };
        let former = blobs.remove(key.key);
        if blobs.is_empty() {
            namespaces.remove(key.namespace);
        }
        drop(namespaces);
        drop(former);
        Ok(())
    }

    async fn list(&self, _call: &Call, query: &BlobQuery<'_>) -> Result<BlobPage> {
        let position = query.cursor.map(Position::from_cursor).transpose()?;
        let from = match &position {
            Some(position) => Bound::Excluded(position.key.as_str()),
            None => Bound::Included(query.prefix),
        };
        let limit = match query.limit {
            0 => PAGE,
            limit => limit.min(PAGE),
        };
        let namespaces = read(&self.namespaces);
        let mut page = BlobPage::default();
        let Some(blobs) = namespaces.get(query.namespace) else {
            return Ok(page);
        };
        let matching = blobs
            .range::<str, _>((from, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(query.prefix));
        for (key, stored) in matching {
            if page.blobs.len() == limit {
                page.next = page.blobs.last().map(|last| {
                    let position = Position {
                        skip: 0,
                        key: last.key.clone(),
                    };
                    position.to_cursor()
                });
                break;
            }
            page.blobs.push(stored.info(key));
        }
        Ok(page)
    }

    async fn namespaces(&self, _call: &Call) -> Result<Vec<String>> {
        Ok(read(&self.namespaces).keys().cloned().collect())
    }
}

/// The bytes of a body, the small chunks of it put together.
async fn pieces(mut body: ByteStream) -> Result<Vec<Bytes>> {
    let (mut pieces, mut small) = (Vec::new(), BytesMut::new());
    while let Some(chunk) = body.next().await {
        let chunk = chunk?;
        if chunk.len() < SMALL {
            small.extend_from_slice(&chunk);
            if small.len() < PIECE {
                continue;
            }
        }
        if !small.is_empty() {
            pieces.push(std::mem::take(&mut small).freeze());
        }
        if chunk.len() >= SMALL {
            pieces.push(chunk);
        }
    }
    if !small.is_empty() {
        pieces.push(small.freeze());
    }
    Ok(pieces)
}
