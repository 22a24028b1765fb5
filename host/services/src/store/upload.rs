//! The writing of a blob: the first message says which, all of them bring its bytes.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use micro_plugin_api::{BlobHandle, Error as ModuleError, Result as ModuleResult, blob::BlobMeta};
use micro_proto::store::BlobWriteRequest;
use micro_wire::Error;
use tonic::{Request, Status, Streaming};

use super::blobs::Scope;
use crate::error;

/// A blob that has begun to arrive.
pub(super) struct Upload {
    scope: Scope,
    meta: BlobMeta,
    first: Bytes,
    rest: Streaming<BlobWriteRequest>,
}

impl Upload {
    /// Reads the first message, and checks that its sender may write what it names.
    pub(super) async fn begin(
        id: &'static str,
        request: Request<Streaming<BlobWriteRequest>>,
    ) -> Result<Self, Status> {
        let (metadata, extensions, mut messages) = request.into_parts();
        let Some(first) = messages.message().await? else {
            return Err(Error::bad_request(id, "No blob was sent").into());
        };
        let request = Request::from_parts(metadata, extensions, ());
        let scope = Scope::of(id, &request, &first.key, first.options.as_ref())?;
        let options = first.options.unwrap_or_default();
        Ok(Self {
            scope,
            meta: BlobMeta {
                content_type: options.content_type,
                public: options.public,
            },
            first: first.blob,
            rest: messages,
        })
    }

    /// Writes the blob. If the messages end in an error, that error is the answer, and what was
    /// there before stays.
    pub(super) async fn write(self, blob: &BlobHandle) -> Result<(), Status> {
        // The module sees a failed body as one of its own errors; the caller is to see the cause.
        let cause = Arc::new(OnceLock::new());
        let (id, key) = (self.scope.id, self.scope.blob().key.to_owned());
        let failed = cause.clone();
        let rest = self.rest.map(move |message| -> ModuleResult<Bytes> {
            let status = match message {
                // Clients may repeat the key, or leave it out after the first message.
                Ok(message) if message.key.is_empty() || message.key == key => {
                    return Ok(message.blob);
                }
                Ok(message) => {
                    let detail = format!(
                        "the blob {key:?} was followed by a chunk of {:?}; write one blob in each call",
                        message.key
                    );
                    Status::from(Error::bad_request(id, detail))
                }
                Err(status) => status,
            };
            let error = ModuleError::unavailable(status.message()).with_retryable(false);
            let _ = failed.set(status);
            Err(error)
        });
        let first = self.first;
        let body = stream::once(async { Ok(first) }).chain(rest).boxed();
        let written = blob
            .write(&self.scope.call, self.scope.blob(), &self.meta, body)
            .await;
        let Err(error) = written else {
            return Ok(());
        };
        Err(match cause.get() {
            Some(status) => status.clone(),
            None => error::from_module(id, &error).into(),
        })
    }
}
