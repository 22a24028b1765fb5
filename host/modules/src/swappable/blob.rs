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

use super::changed::Changed;
use crate::{live::Live, slot::Slot};

/// The blob store that is live.
pub(crate) struct SwappableBlob {
    pub(crate) slot: Arc<Slot<BlobHandle>>,
    pub(crate) changed: Arc<Changed<BlobName>>,
}

/// Namespace and key.
pub(crate) type BlobName = (String, String);

fn name(key: BlobKey<'_>) -> [BlobName; 1] {
    [(key.namespace.to_owned(), key.key.to_owned())]
}

impl Blob for SwappableBlob {
    async fn write(
        &self,
        call: &Call,
        key: BlobKey<'_>,
        meta: &BlobMeta,
        body: ByteStream,
    ) -> Result<BlobInfo> {
        let _pass = self.slot.gate.write(call).await?;
        let live = self.slot.live()?;
        let write = live.handle.write(call, key, meta, body);
        self.changed.noting(|| name(key), write).await
    }

    async fn read(&self, call: &Call, key: BlobKey<'_>) -> Result<(BlobInfo, ByteStream)> {
        let _pass = self.slot.gate.read(call).await?;
        let live = self.slot.live()?;
        let (info, body) = live.handle.read(call, key).await?;
        Ok((info, Box::pin(Held { _live: live, body })))
    }

    async fn delete(&self, call: &Call, key: BlobKey<'_>) -> Result<()> {
        let _pass = self.slot.gate.write(call).await?;
        let live = self.slot.live()?;
        let delete = live.handle.delete(call, key);
        self.changed.noting(|| name(key), delete).await
    }

    async fn list(&self, call: &Call, query: &BlobQuery<'_>) -> Result<BlobPage> {
        let _pass = self.slot.gate.read(call).await?;
        self.slot.live()?.handle.list(call, query).await
    }

    async fn namespaces(&self, call: &Call) -> Result<Vec<String>> {
        let _pass = self.slot.gate.read(call).await?;
        self.slot.live()?.handle.namespaces(call).await
    }

    async fn health(&self, call: &Call) -> Result<()> {
        let _pass = self.slot.gate.read(call).await?;
        self.slot.live()?.handle.health(call).await
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
