//! The rules of the `blob` module.

mod beyond;
mod bodies;
mod list;
mod whole;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use micro_plugin_api::{
    BlobHandle, ByteStream, Call, Code, Error, Result,
    blob::{BlobInfo, BlobKey, BlobMeta},
};

use crate::{
    Suite,
    check::{Verdict, ensure, fails, unique},
};

/// Every rule of the `blob` module.
pub fn suite() -> Suite<BlobHandle> {
    let groups = [
        bodies::cases(),
        list::cases(),
        whole::cases(),
        beyond::cases(),
    ];
    Suite::new("blob", groups.into_iter().flatten().collect())
}

/// A blob store with a namespace of its own: what a case works in.
#[derive(Clone)]
struct Scope {
    blob: BlobHandle,
    call: Call,
    namespace: String,
}

impl Scope {
    fn new(blob: BlobHandle) -> Self {
        Self::of(blob, unique("ns"))
    }

    fn of(blob: BlobHandle, namespace: String) -> Self {
        Self {
            blob,
            call: Call::new(&namespace).with_timeout(Duration::from_secs(30)),
            namespace,
        }
    }

    fn key<'a>(&'a self, key: &'a str) -> BlobKey<'a> {
        BlobKey::new(&self.namespace, key)
    }

    async fn write(&self, key: &str, body: ByteStream) -> Result<BlobInfo> {
        let meta = BlobMeta::default();
        self.blob
            .write(&self.call, self.key(key), &meta, body)
            .await
    }

    async fn put(&self, key: &str, value: &str) -> Result<BlobInfo> {
        self.write(key, body([Bytes::copy_from_slice(value.as_bytes())]))
            .await
    }

    async fn read(&self, key: &str) -> Result<(BlobInfo, Bytes)> {
        let (info, body) = self.blob.read(&self.call, self.key(key)).await?;
        let bytes = collected(&info, body).await?;
        Ok((info, bytes))
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.blob.delete(&self.call, self.key(key)).await
    }

    /// Ends the case as failed unless the blob has exactly these bytes, and says so of itself.
    async fn holds(&self, key: &str, wanted: &[u8]) -> Verdict {
        let (info, bytes) = self.read(key).await?;
        ensure!(
            bytes == wanted,
            "blob {key:?} has {} bytes that are not the {} written",
            bytes.len(),
            wanted.len()
        );
        ensure!(
            info.size == wanted.len() as u64 && info.key == key,
            "blob {key:?} of {} bytes is described as {info:?}",
            wanted.len()
        );
        Ok(())
    }

    /// Ends the case as failed unless there is no such blob.
    async fn lacks(&self, key: &str) -> Verdict {
        let read = self.blob.read(&self.call, self.key(key)).await;
        let read = read.map(|(info, _)| info);
        fails(&format!("reading {key:?}"), read, Code::NOT_FOUND)?;
        Ok(())
    }
}

/// A body of these chunks.
fn body(chunks: impl IntoIterator<Item = Bytes>) -> ByteStream {
    let chunks: Vec<_> = chunks.into_iter().map(Ok).collect();
    futures::stream::iter(chunks).boxed()
}

/// A body of some chunks and then this error.
fn broken(chunks: usize, error: Error) -> ByteStream {
    let chunks = std::iter::repeat_n(Ok(Bytes::from(vec![b'x'; 10_000])), chunks);
    let chunks: Vec<_> = chunks.chain([Err(error)]).collect();
    futures::stream::iter(chunks).boxed()
}

/// All bytes of a body, which are no more than is said of it.
async fn collected(info: &BlobInfo, mut body: ByteStream) -> Result<Bytes> {
    let mut all = BytesMut::new();
    while let Some(chunk) = body.next().await {
        all.extend_from_slice(&chunk?);
        if all.len() as u64 > info.size {
            return Err(Error::internal(format!(
                "a blob that is said to have {} bytes has more",
                info.size
            )));
        }
    }
    Ok(all.freeze())
}

/// Bytes that repeat nowhere for a while, so that a chunk in a wrong place shows.
fn pattern(len: usize) -> Bytes {
    let mut state = 0x2545_f491_u32;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as u8
        })
        .collect()
}
