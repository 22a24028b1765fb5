//! Blobs through what is live.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::Stream;
use micro_plugin_api::{
    Blob, BlobHandle, ByteStream, Bytes, Call, Result,
    blob::{BlobInfo, BlobKey, BlobMeta, BlobPage, BlobQuery},
};

use crate::{live::Live, slot::Slot};

/// The blob store that is live.
pub(crate) struct SwappableBlob(pub(crate) Arc<Slot<BlobHandle>>);

impl Blob for SwappableBlob {
    async fn write(
        &self,
        call: &Call,
        key: BlobKey<'_>,
        meta: &BlobMeta,
        body: ByteStream,
    ) -> Result<BlobInfo> {
        let _pass = self.0.gate.write(call).await?;
        self.0.live()?.handle.write(call, key, meta, body).await
    }

    async fn read(&self, call: &Call, key: BlobKey<'_>) -> Result<(BlobInfo, ByteStream)> {
        let _pass = self.0.gate.read(call).await?;
        let live = self.0.live()?;
        let (info, body) = live.handle.read(call, key).await?;
        Ok((info, Box::pin(Held { _live: live, body })))
    }

    async fn delete(&self, call: &Call, key: BlobKey<'_>) -> Result<()> {
        let _pass = self.0.gate.write(call).await?;
        self.0.live()?.handle.delete(call, key).await
    }

    async fn list(&self, call: &Call, query: &BlobQuery<'_>) -> Result<BlobPage> {
        let _pass = self.0.gate.read(call).await?;
        self.0.live()?.handle.list(call, query).await
    }

    async fn health(&self, call: &Call) -> Result<()> {
        let _pass = self.0.gate.read(call).await?;
        self.0.live()?.handle.health(call).await
    }
}

/// Bytes that are read to their end from the instance that they began with.
struct Held {
    body: ByteStream,
    _live: Arc<Live<BlobHandle>>,
}

impl Stream for Held {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.body.as_mut().poll_next(context)
    }
}
