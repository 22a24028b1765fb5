//! A blob store is made the same as another one that is written to meanwhile, as [`super::copy`] does
//! with a store: walked through once to copy what differs, once more to verify, and the last blobs
//! while writes are held.

use std::{
    cmp::Ordering,
    collections::{BTreeSet, HashSet, VecDeque},
    time::Duration,
};

use futures::TryStreamExt as _;
use micro_plugin_api::{
    BlobHandle, Call, Code, Error, Result,
    blob::{BlobInfo, BlobKey, BlobMeta, BlobQuery},
    store::Cursor,
};
use sha2::{Digest as _, Sha256};

use super::Progress;
use crate::{
    Module, PLATFORM_DATABASE,
    identity::{self, COPYING, ID, PROOF},
    swappable::{BlobName, Changed},
};

/// How long one blob may take.
const TIMEOUT: Duration = Duration::from_secs(600);
/// How few blobs may be left to copy while writes are held.
const FEW: usize = 4;
/// How often it is tried to get there.
const ROUNDS: usize = 5;

fn call() -> Call {
    Call::new(PLATFORM_DATABASE).with_timeout(TIMEOUT)
}

/// A copy of blobs.
pub(super) struct CopyBlobs<'a> {
    from: BlobHandle,
    to: BlobHandle,
    progress: &'a (dyn Fn(Progress) + Send + Sync),
}

/// What one walk through a namespace found.
#[derive(Default)]
struct Found {
    blobs: u64,
    checksum: Sha256,
    differing: HashSet<BlobName>,
}

/// A blob that was read: what is known of it, and the hash of its bytes.
type Read = (u64, BlobMeta, [u8; 32]);

impl<'a> CopyBlobs<'a> {
    pub(super) fn new(
        from: &BlobHandle,
        to: &BlobHandle,
        progress: &'a (dyn Fn(Progress) + Send + Sync),
    ) -> Self {
        Self {
            from: from.clone(),
            to: to.clone(),
            progress,
        }
    }

    /// Copies everything, with what is written meanwhile, and verifies it. Gives what has to be
    /// looked at again.
    ///
    /// # Errors
    /// One of the blob stores failed. The new one is marked as unfinished then.
    pub(super) async fn begin(
        &self,
        platform: &str,
        changed: &Changed<BlobName>,
    ) -> Result<HashSet<BlobName>> {
        // So that this one is known when blobs are to be copied back.
        identity::mark_blobs(&self.from, platform).await?;
        identity::mark_unfinished_blobs(&self.to, platform).await?;
        for namespace in self.namespaces().await? {
            self.walk(&namespace, true).await?;
        }
        self.catch_up(changed).await?;
        let mut suspects = HashSet::new();
        for namespace in self.namespaces().await? {
            let found = self.walk(&namespace, false).await?;
            suspects.extend(found.differing);
            let checksum = found.checksum.finalize();
            (self.progress)(Progress::Verified {
                module: Module::Blob,
                name: namespace,
                items: found.blobs,
                checksum: checksum[..8].iter().map(|b| format!("{b:02x}")).collect(),
            });
        }
        // Those differ that were written since they were copied.
        self.sync(&suspects).await?;
        self.catch_up(changed).await?;
        Ok(suspects)
    }

    /// Copies what was written, until little is.
    async fn catch_up(&self, changed: &Changed<BlobName>) -> Result<()> {
        for _ in 0..ROUNDS {
            let names = changed.take();
            self.sync(&names).await?;
            if names.len() <= FEW {
                break;
            }
        }
        Ok(())
    }

    /// Copies the last blobs, while nothing is written, and verifies each.
    ///
    /// # Errors
    /// One of the blob stores failed, or does not hold what was written to it.
    pub(super) async fn finish(
        &self,
        suspects: &HashSet<BlobName>,
        changed: HashSet<BlobName>,
    ) -> Result<()> {
        let names: HashSet<_> = suspects.union(&changed).cloned().collect();
        self.sync(&names).await?;
        for (namespace, key) in &names {
            if !self.is_same(BlobKey::new(namespace, key)).await? {
                return Err(Error::internal(format!(
                    "blob {key:?} in namespace {namespace:?} is another one in the new blob store \
                     than what was written to it"
                )));
            }
        }
        let copying = BlobKey::new(PLATFORM_DATABASE, COPYING);
        self.to.delete(&call(), copying).await
    }

    /// Makes some blobs the same.
    async fn sync(&self, names: &HashSet<BlobName>) -> Result<()> {
        for (namespace, key) in names {
            let key = BlobKey::new(namespace, key);
            if !self.is_same(key).await? {
                self.copy(key).await?;
            }
        }
        Ok(())
    }

    async fn is_same(&self, key: BlobKey<'_>) -> Result<bool> {
        Ok(is_ours(key) || read(&self.from, key).await? == read(&self.to, key).await?)
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

    /// The namespaces of both.
    async fn namespaces(&self) -> Result<BTreeSet<String>> {
        let mut all = BTreeSet::from_iter(self.from.namespaces(&call()).await?);
        all.extend(self.to.namespaces(&call()).await?);
        Ok(all)
    }

    /// Walks through a namespace in both, and makes them the same if told to.
    async fn walk(&self, namespace: &str, copy: bool) -> Result<Found> {
        let mut found = Found::default();
        let mut old = Walk::new(&self.from, namespace);
        let mut new = Walk::new(&self.to, namespace);
        loop {
            let order = match (old.peek().await?, new.peek().await?) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(a), Some(b)) => a.key.cmp(&b.key),
            };
            let a = if order.is_le() { old.next() } else { None };
            let b = if order.is_ge() { new.next() } else { None };
            let listed_same = a == b;
            let Some(BlobInfo { key, .. }) = a.or(b) else {
                break;
            };
            let blob = BlobKey::new(namespace, &key);
            // Their bytes are read only where they may be the same.
            let there = if listed_same {
                let there = read(&self.from, blob).await?;
                let same = there == read(&self.to, blob).await?;
                there.filter(|_| same)
            } else {
                None
            };
            match there {
                Some(there) => found.count(&key, &there),
                None if copy => {
                    self.copy(blob).await?;
                    if order.is_le() {
                        found.blobs += 1;
                        self.tell(namespace, found.blobs);
                    }
                }
                None => {
                    found.differing.insert((namespace.to_owned(), key));
                }
            }
        }
        Ok(found)
    }

    fn tell(&self, namespace: &str, blobs: u64) {
        (self.progress)(Progress::Copied {
            module: Module::Blob,
            name: namespace.to_owned(),
            items: blobs,
        });
    }
}

impl Found {
    fn count(&mut self, key: &str, (size, meta, hash): &Read) {
        self.blobs += 1;
        for text in [key, &meta.content_type] {
            self.checksum.update((text.len() as u64).to_le_bytes());
            self.checksum.update(text);
        }
        self.checksum.update([u8::from(meta.public)]);
        self.checksum.update(size.to_le_bytes());
        self.checksum.update(hash);
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

/// A walk through a namespace in key order.
struct Walk<'a> {
    blob: &'a BlobHandle,
    namespace: &'a str,
    blobs: VecDeque<BlobInfo>,
    cursor: Option<Cursor>,
    ended: bool,
}

impl<'a> Walk<'a> {
    fn new(blob: &'a BlobHandle, namespace: &'a str) -> Self {
        Self {
            blob,
            namespace,
            blobs: VecDeque::new(),
            cursor: None,
            ended: false,
        }
    }

    async fn peek(&mut self) -> Result<Option<&BlobInfo>> {
        while self.blobs.is_empty() && !self.ended {
            let query = BlobQuery {
                namespace: self.namespace,
                cursor: self.cursor.as_ref(),
                ..BlobQuery::default()
            };
            let page = self.blob.list(&call(), &query).await?;
            let blobs = page.blobs.into_iter();
            self.blobs = blobs
                .filter(|blob| !is_ours(BlobKey::new(self.namespace, &blob.key)))
                .collect();
            self.cursor = page.next;
            self.ended = self.cursor.is_none();
        }
        Ok(self.blobs.front())
    }

    fn next(&mut self) -> Option<BlobInfo> {
        self.blobs.pop_front()
    }
}
