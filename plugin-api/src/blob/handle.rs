//! A blob store as the host calls it, wherever the implementation lives.

use std::sync::Arc;

use super::{Blob, BlobInfo, BlobKey, BlobMeta, BlobPage, BlobQuery};
use crate::{BoxFuture, ByteStream, Call, Result};

/// [`Blob`] behind a pointer: an async trait has no `dyn` of its own.
pub(crate) trait DynBlob: Send + Sync {
    fn write<'a>(
        &'a self,
        call: &'a Call,
        key: BlobKey<'a>,
        meta: &'a BlobMeta,
        body: ByteStream,
    ) -> BoxFuture<'a, Result<BlobInfo>>;
    fn read<'a>(
        &'a self,
        call: &'a Call,
        key: BlobKey<'a>,
    ) -> BoxFuture<'a, Result<(BlobInfo, ByteStream)>>;
    fn delete<'a>(&'a self, call: &'a Call, key: BlobKey<'a>) -> BoxFuture<'a, Result<()>>;
    fn list<'a>(
        &'a self,
        call: &'a Call,
        query: &'a BlobQuery<'a>,
    ) -> BoxFuture<'a, Result<BlobPage>>;
    fn namespaces<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<Vec<String>>>;
    fn health<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>>;
    fn shutdown<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>>;
}

impl<T: Blob> DynBlob for T {
    fn write<'a>(
        &'a self,
        call: &'a Call,
        key: BlobKey<'a>,
        meta: &'a BlobMeta,
        body: ByteStream,
    ) -> BoxFuture<'a, Result<BlobInfo>> {
        Box::pin(Blob::write(self, call, key, meta, body))
    }
    fn read<'a>(
        &'a self,
        call: &'a Call,
        key: BlobKey<'a>,
    ) -> BoxFuture<'a, Result<(BlobInfo, ByteStream)>> {
        Box::pin(Blob::read(self, call, key))
    }
    fn delete<'a>(&'a self, call: &'a Call, key: BlobKey<'a>) -> BoxFuture<'a, Result<()>> {
        Box::pin(Blob::delete(self, call, key))
    }
    fn list<'a>(
        &'a self,
        call: &'a Call,
        query: &'a BlobQuery<'a>,
    ) -> BoxFuture<'a, Result<BlobPage>> {
        Box::pin(Blob::list(self, call, query))
    }
    fn namespaces<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<Vec<String>>> {
        Box::pin(Blob::namespaces(self, call))
    }
    fn health<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>> {
        Box::pin(Blob::health(self, call))
    }
    fn shutdown<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>> {
        Box::pin(Blob::shutdown(self, call))
    }
}

/// A blob store, in this program or in a loaded library. Clones share it.
#[derive(Clone)]
pub struct BlobHandle(Arc<dyn DynBlob>);

impl<T: Blob> From<Arc<T>> for BlobHandle {
    /// The handle of an implementation that is shared, as one value that is several modules is.
    fn from(blob: Arc<T>) -> Self {
        Self(blob)
    }
}

impl BlobHandle {
    /// The handle of an implementation in this program.
    pub fn new(blob: impl Blob) -> Self {
        Self(Arc::new(blob))
    }

    /// The handle of what only this crate can name: a client of a library.
    pub(crate) fn from_dyn(blob: Arc<dyn DynBlob>) -> Self {
        Self(blob)
    }

    /// See [`Blob::write`].
    pub async fn write(
        &self,
        call: &Call,
        key: BlobKey<'_>,
        meta: &BlobMeta,
        body: ByteStream,
    ) -> Result<BlobInfo> {
        self.0.write(call, key, meta, body).await
    }

    /// See [`Blob::read`].
    pub async fn read(&self, call: &Call, key: BlobKey<'_>) -> Result<(BlobInfo, ByteStream)> {
        self.0.read(call, key).await
    }

    /// See [`Blob::delete`].
    pub async fn delete(&self, call: &Call, key: BlobKey<'_>) -> Result<()> {
        self.0.delete(call, key).await
    }

    /// See [`Blob::list`].
    pub async fn list(&self, call: &Call, query: &BlobQuery<'_>) -> Result<BlobPage> {
        self.0.list(call, query).await
    }

    /// See [`Blob::namespaces`].
    pub async fn namespaces(&self, call: &Call) -> Result<Vec<String>> {
        self.0.namespaces(call).await
    }

    /// See [`Blob::health`].
    pub async fn health(&self, call: &Call) -> Result<()> {
        self.0.health(call).await
    }

    /// See [`Blob::shutdown`].
    pub async fn shutdown(&self, call: &Call) -> Result<()> {
        self.0.shutdown(call).await
    }
}
