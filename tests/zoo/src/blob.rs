//! The zoo's blobs: streams that end badly, or not at all.

use futures::{StreamExt, TryStreamExt, stream};
use micro_plugin_api::prelude::*;

use crate::{
    Zoo,
    behaviour::{FAIL, PANIC},
    journal::Leaves,
};

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
        let size = body
            .try_fold(
                0,
                |size, chunk| async move { Ok(size + chunk.len() as u64) },
            )
            .await?;
        drop(leaves);
        Ok(BlobInfo {
            key: key.key.to_owned(),
            size,
            meta: meta.clone(),
        })
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
        let (key, large) = (key.key.to_owned(), self.large.clone());
        let info = BlobInfo {
            key: key.clone(),
            ..BlobInfo::default()
        };
        let pace = self.excess.pace();
        let chunks = stream::iter(0_u64..).then(move |at| {
            let _held = &leaves;
            let chunk = match (key.as_str(), at) {
                ("hundred", 100) => None,
                (PANIC, 2) => panic!("asked to panic in a stream"),
                (FAIL, 2) => Some(Err(Error::unavailable("the stream dried up"))),
                // Larger than what is copied, and each its own part of the one buffer.
                (_, at) => {
                    let from = (at as usize % 256) * 4096;
                    Some(Ok(large.slice(from..from + 4096)))
                }
            };
            async move {
                match pace {
                    Some(pace) => tokio::time::sleep(pace).await,
                    None => tokio::task::yield_now().await,
                }
                chunk
            }
        });
        let chunks = chunks
            .take_while(|chunk| std::future::ready(chunk.is_some()))
            .filter_map(std::future::ready);
        Ok((info, Box::pin(chunks)))
    }

    async fn delete(&self, _: &Call, key: BlobKey<'_>) -> Result<()> {
        self.act(key.key).await
    }

    async fn list(&self, _: &Call, query: &BlobQuery<'_>) -> Result<BlobPage> {
        self.act(query.prefix).await?;
        Ok(BlobPage::default())
    }

    async fn namespaces(&self, _: &Call) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}
