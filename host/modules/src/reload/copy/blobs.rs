//! Two blob stores, of which the second is made the same as the first.

use std::{
    collections::{BTreeSet, HashSet},
    time::Duration,
};

use futures::TryStreamExt as _;
use micro_plugin_api::{
    BlobHandle, Call, Code, Error, Result,
    blob::{BlobInfo, BlobKey, BlobMeta, BlobQuery},
    store::Cursor,
};
use sha2::{Digest as _, Sha256};

use super::{
    Found, Pair,
    walk::{Listing, SideBySide},
};
use crate::{
    Module, PLATFORM_DATABASE,
    identity::{self, COPYING, ID, PROOF},
    swappable::BlobName,
};

/// How long one blob may take.
const TIMEOUT: Duration = Duration::from_secs(600);

fn call() -> Call {
    Call::new(PLATFORM_DATABASE).with_timeout(TIMEOUT)
}

/// Both blob stores.
pub(crate) struct Blobs {
    from: BlobHandle,
    to: BlobHandle,
}

/// A blob that was read: what is known of it, and the hash of its bytes.
type Read = (u64, BlobMeta, [u8; 32]);

impl Blobs {
    pub(crate) fn new(from: &BlobHandle, to: &BlobHandle) -> Self {
        let (from, to) = (from.clone(), to.clone());
        Self { from, to }
    }

    /// Copies a blob, or deletes one that is not there any more.
    async fn copy(&self, key: BlobKey<'_>) -> Result<()> {
        match self.from.read(&call(), key).await {
            Ok((info, body)) => {
                let written = self.to.write(&call(), key, &info.meta, body).await;
                written.map(drop)
            }
            Err(error) if error.code() == Code::NOT_FOUND => self.to.delete(&call(), key).await,
            Err(error) => Err(error),
        }
    }

    /// What both have under a key, if that is the same.
    async fn same(&self, key: BlobKey<'_>) -> Result<Option<Read>> {
        let there = read(&self.from, key).await?;
        let is_same = there == read(&self.to, key).await?;
        Ok(there.filter(|_| is_same))
    }
}

impl Pair for Blobs {
    const MODULE: Module = Module::Blob;
    const FEW: usize = 4;
    type Name = BlobName;

    async fn mark_unfinished(&self, platform: &str) -> Result<()> {
        // So that the old one is known when blobs are to be copied back.
        identity::mark_blobs(&self.from, platform).await?;
        identity::mark_unfinished_blobs(&self.to, platform).await
    }

    async fn mark_finished(&self) -> Result<()> {
        let copying = BlobKey::new(PLATFORM_DATABASE, COPYING);
        self.to.delete(&call(), copying).await
    }

    async fn places(&self) -> Result<BTreeSet<String>> {
        let mut all = BTreeSet::from_iter(self.from.namespaces(&call()).await?);
        all.extend(self.to.namespaces(&call()).await?);
        Ok(all)
    }

    async fn walk(
        &self,
        namespace: &str,
        copied: Option<&(dyn Fn(u64) + Send + Sync)>,
    ) -> Result<Found<BlobName>> {
        let mut found = Found::default();
        let listing = |blob| NamespaceListing { blob, namespace };
        let mut both = SideBySide::new(listing(&self.from), listing(&self.to));
        loop {
            let (old, new) = both.next().await?;
            let (is_there, is_listed_same) = (old.is_some(), old == new);
            let Some(BlobInfo { key, .. }) = old.or(new) else {
                return Ok(found);
            };
            let blob = BlobKey::new(namespace, &key);
            // Their bytes are read only where they may be the same.
            let same = match is_listed_same {
                true => self.same(blob).await?,
                false => None,
            };
            match (same, copied) {
                (Some(same), _) => found.count(&key, &same),
                (None, Some(copied)) => {
                    self.copy(blob).await?;
                    if is_there {
                        found.items += 1;
                        copied(found.items);
                    }
                }
                (None, None) => {
                    found.differing.insert((namespace.to_owned(), key));
                }
            }
        }
    }

    async fn sync(&self, names: &HashSet<BlobName>) -> Result<()> {
        for name in names {
            if !self.is_same(name).await? {
                self.copy(BlobKey::new(&name.0, &name.1)).await?;
            }
        }
        Ok(())
    }

    async fn is_same(&self, (namespace, key): &BlobName) -> Result<bool> {
        let key = BlobKey::new(namespace, key);
        Ok(is_ours(key) || read(&self.from, key).await? == read(&self.to, key).await?)
    }

    fn differs((namespace, key): &BlobName) -> Error {
        Error::internal(format!(
            "blob {key:?} in namespace {namespace:?} is another one in the new blob store than \
             what was written to it"
        ))
    }
}

impl Found<BlobName> {
    fn count(&mut self, key: &str, (size, meta, hash): &Read) {
        self.items += 1;
        self.hash(key.as_bytes());
        self.hash(meta.content_type.as_bytes());
        self.hash(&[u8::from(meta.public)]);
        self.hash(&size.to_le_bytes());
        self.hash(hash);
    }
}

/// Whether a blob is one that says something about the blob store that it is in.
fn is_ours(key: BlobKey<'_>) -> bool {
    key.namespace == PLATFORM_DATABASE && [COPYING, ID, PROOF].contains(&key.key)
}

/// Reads a blob to its end; `None` if there is none.
async fn read(blob: &BlobHandle, key: BlobKey<'_>) -> Result<Option<Read>> {
    let (info, mut body) = match blob.read(&call(), key).await {
        Ok(read) => read,
        Err(error) if error.code() == Code::NOT_FOUND => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut hash = Sha256::new();
    while let Some(chunk) = body.try_next().await? {
        hash.update(&chunk);
    }
    Ok(Some((info.size, info.meta, hash.finalize().into())))
}

/// The blobs of a namespace.
struct NamespaceListing<'a> {
    blob: &'a BlobHandle,
    namespace: &'a str,
}

impl Listing for NamespaceListing<'_> {
    type Item = BlobInfo;

    async fn page(&self, cursor: Option<&Cursor>) -> Result<(Vec<BlobInfo>, Option<Cursor>)> {
        let query = BlobQuery {
            namespace: self.namespace,
            cursor,
            ..BlobQuery::default()
        };
        let mut page = self.blob.list(&call(), &query).await?;
        page.blobs
            .retain(|blob| !is_ours(BlobKey::new(self.namespace, &blob.key)));
        Ok((page.blobs, page.next))
    }

    fn key(blob: &BlobInfo) -> &str {
        &blob.key
    }
}
