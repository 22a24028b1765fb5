//! The `blob` module: large values in namespaces, written and read as streams.

mod handle;
mod types;

pub use handle::BlobHandle;
pub(crate) use handle::DynBlob;
pub use types::{BlobInfo, BlobKey, BlobMeta, BlobPage, BlobQuery};

use crate::{ByteStream, Call, Result};

/// Large values in namespaces. A blob is whole or absent: a write that fails or is cancelled half
/// way leaves what was there before.
pub trait Blob: Send + Sync + 'static {
    /// Writes a blob, over any that was there, and answers once it is whole.
    ///
    /// An error in `body` fails the write with that error. An empty key is `invalid`.
    fn write(
        &self,
        call: &Call,
        key: BlobKey<'_>,
        meta: &BlobMeta,
        body: ByteStream,
    ) -> impl Future<Output = Result<BlobInfo>> + Send;

    /// What is known of a blob and its bytes: those of the write that was complete when the read
    /// began, whatever is written meanwhile. `not_found` if there is none.
    fn read(
        &self,
        call: &Call,
        key: BlobKey<'_>,
    ) -> impl Future<Output = Result<(BlobInfo, ByteStream)>> + Send;

    /// Deletes a blob; one that is absent already is no error.
    fn delete(&self, call: &Call, key: BlobKey<'_>) -> impl Future<Output = Result<()>> + Send;

    /// One page of the blobs of a namespace, in key order.
    fn list(
        &self,
        call: &Call,
        query: &BlobQuery<'_>,
    ) -> impl Future<Output = Result<BlobPage>> + Send;

    /// The namespaces that hold a blob, in order.
    fn namespaces(&self, call: &Call) -> impl Future<Output = Result<Vec<String>>> + Send;

    /// Whether the module could serve a call now. The default says yes.
    fn health(&self, _call: &Call) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// Finishes what is under way and lets go of what is held. Called once, when no call is left.
    fn shutdown(&self, _call: &Call) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }
}
