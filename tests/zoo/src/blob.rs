//! The zoo's blobs: what was written is kept, and what was not is a stream that ends badly, or not at all.

use std::{
    collections::HashMap,
    sync::{MutexGuard, PoisonError},
};

use futures::{StreamExt, TryStreamExt, stream};
use micro_plugin_api::prelude::*;

use crate::{
    Zoo,
    behaviour::{FAIL, PANIC},
    journal::Leaves,
};

/// The bytes of a chunk of a blob that nobody wrote.
const CHUNK: usize = 4096;

impl Zoo {
    fn blobs(&self) -> MutexGuard<'_, HashMap<(String, String), (BlobInfo, Bytes)>> {
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Blob for Zoo {
    async fn write(
        &self,
        _: &Call,
        key: BlobKey<'_>,
        meta: &BlobMeta,
        body: ByteStream,
    ) -> Result<BlobInfo> {
        let leaves = Leaves {
            journal: self.journal.clone(),
            line: "blob write ended",
        };
        let bytes = body.try_fold(Vec::new(), |mut bytes, chunk| async move {
            bytes.extend_from_slice(&chunk);
            Ok(bytes)
        });
        let bytes = Bytes::from(bytes.await?);
        drop(leaves);
        let info = BlobInfo {
            key: key.key.to_owned(),
            size: bytes.len() as u64,
            meta: meta.clone(),
        };
        let place = (key.namespace.to_owned(), key.key.to_owned());
        self.blobs().insert(place, (info.clone(), bytes));
        Ok(info)
    }

    async fn read(&self, _: &Call, key: BlobKey<'_>) -> Result<(BlobInfo, ByteStream)> {
        self.act(match key.key {
            // These are for the stream, not for the call.
            PANIC | FAIL => "",
            other => other,
        })
        .await?;
        let leaves = Leaves {
            journal: self.journal.clone(),
            line: "stream ended",
        };
        let place = (key.namespace.to_owned(), key.key.to_owned());
        let kept = self.blobs().get(&place).cloned();
        if let Some((info, bytes)) = kept {
            let excess = self.excess;
            let more = (0..).take_while(move |_| {
                let _held = &leaves;
                excess.floods()
            });
            let more = more.map(move |at| Ok(excess.item(at)));
            let chunks = stream::iter([Ok(bytes)]).chain(stream::iter(more));
            return Ok((info, Box::pin(chunks)));
        }
        // What a server asks for about itself is there only if it wrote it.
        if key.namespace.starts_with('$') {
            return Err(Error::not_found("nobody wrote this blob"));
        }
        let (key, large) = (key.key.to_owned(), self.large.clone());
        let size = if key == "hundred" {
            100 * CHUNK
        } else {
            usize::MAX
        };
        let info = BlobInfo {
            key: key.clone(),
            size: size as u64,
            ..BlobInfo::default()
        };
        let chunks = stream::iter(0_u64..).then(move |at| {
            let _held = &leaves;
            let chunk = match (key.as_str(), at) {
                ("hundred", 100) => None,
                (PANIC, 2) => panic!("asked to panic in a stream"),
                (FAIL, 2) => Some(Err(Error::unavailable("the stream dried up"))),
                // Larger than what is copied, and each its own part of the one buffer.
                (_, at) => {
                    let from = (at as usize % 256) * CHUNK;
                    Some(Ok(large.slice(from..from + CHUNK)))
                }
            };
            async move {
                tokio::task::yield_now().await;
                chunk
            }
        });
        let chunks = chunks
            .take_while(|chunk| std::future::ready(chunk.is_some()))
            .filter_map(std::future::ready);
        Ok((info, Box::pin(chunks)))
    }

    async fn delete(&self, _: &Call, key: BlobKey<'_>) -> Result<()> {
        self.act(key.key).await?;
        let place = (key.namespace.to_owned(), key.key.to_owned());
        self.blobs().remove(&place);
        Ok(())
    }

    async fn list(&self, _: &Call, query: &BlobQuery<'_>) -> Result<BlobPage> {
        self.act(query.prefix).await?;
        Ok(BlobPage::default())
    }

    async fn namespaces(&self, _: &Call) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}
