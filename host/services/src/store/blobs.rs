//! `BlobStore`: large values, in and out as streams.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use micro_modules::Modules;
use micro_plugin_api::{
    BoxStream, Call, Code,
    blob::{BlobKey, BlobQuery},
};
use micro_proto::store::{
    BlobDeleteRequest, BlobDeleteResponse, BlobListRequest, BlobListResponse, BlobOptions,
    BlobReadRequest, BlobReadResponse, BlobWriteRequest, BlobWriteResponse,
    blob_store_server::BlobStore,
};
use micro_wire::Error;
use tonic::{Request, Response, Status, Streaming};

use super::upload::Upload;
use crate::{error, request};

/// The most bytes of a blob in one message. Clients put the messages together whatever their
/// size; large ones cost less on the way.
const CHUNK: usize = 256 << 10;

/// The blobs of every namespace.
pub(super) struct BlobService {
    modules: Arc<Modules>,
}

/// One call, authorized: which blob of which namespace.
pub(super) struct Scope {
    pub(super) id: &'static str,
    pub(super) call: Call,
    namespace: String,
    key: String,
}

impl Scope {
    /// The blob that a call names, if its caller administers the namespace.
    pub(super) fn of<T>(
        id: &'static str,
        request: &Request<T>,
        key: &str,
        options: Option<&BlobOptions>,
    ) -> Result<Self, Error> {
        let caller = request::caller(request);
        let named = options.map(|options| options.namespace.as_str());
        let namespace = request::namespace_of(named, &caller);
        caller.authorize_admin(id, namespace)?;
        if key.is_empty() {
            return Err(Error::bad_request(id, "Missing key"));
        }
        Ok(Self {
            id,
            call: request::call(request),
            namespace: namespace.to_owned(),
            key: key.to_owned(),
        })
    }

    pub(super) fn blob(&self) -> BlobKey<'_> {
        BlobKey::new(&self.namespace, &self.key)
    }

    fn failed(&self, error: &micro_plugin_api::Error) -> Error {
        if error.code() == Code::NOT_FOUND {
            return Error::not_found(self.id, "Blob not found");
        }
        error::from_module(self.id, error)
    }
}

impl BlobService {
    pub(super) fn new(modules: Arc<Modules>) -> Self {
        Self { modules }
    }
}

#[tonic::async_trait]
impl BlobStore for BlobService {
    type ReadStream = BoxStream<Result<BlobReadResponse, Status>>;

    async fn read(
        &self,
        request: Request<BlobReadRequest>,
    ) -> Result<Response<Self::ReadStream>, Status> {
        let BlobReadRequest { key, options } = request.get_ref();
        let scope = Scope::of("store.BlobStore.Read", &request, key, options.as_ref())?;
        let read = self.modules.blob().read(&scope.call, scope.blob()).await;
        let (_, body) = read.map_err(|error| scope.failed(&error))?;
        let messages = body.flat_map(move |chunk| {
            let messages = match chunk {
                Ok(chunk) => stream::iter(chunks(chunk)).map(Ok).left_stream(),
                Err(error) => {
                    let error = Err(scope.failed(&error).into());
                    stream::once(async { error }).right_stream()
                }
            };
            messages.map(|chunk| chunk.map(|blob| BlobReadResponse { blob }))
        });
        Ok(Response::new(messages.boxed()))
    }

    async fn write(
        &self,
        request: Request<Streaming<BlobWriteRequest>>,
    ) -> Result<Response<BlobWriteResponse>, Status> {
        let upload = Upload::begin("store.BlobStore.Write", request).await?;
        upload.write(&self.modules.blob()).await?;
        Ok(Response::new(BlobWriteResponse {}))
    }

    async fn delete(
        &self,
        request: Request<BlobDeleteRequest>,
    ) -> Result<Response<BlobDeleteResponse>, Status> {
        let BlobDeleteRequest { key, options } = request.get_ref();
        let scope = Scope::of("store.BlobStore.Delete", &request, key, options.as_ref())?;
        let deleted = self.modules.blob().delete(&scope.call, scope.blob()).await;
        deleted.map_err(|error| scope.failed(&error))?;
        Ok(Response::new(BlobDeleteResponse {}))
    }

    async fn list(
        &self,
        request: Request<BlobListRequest>,
    ) -> Result<Response<BlobListResponse>, Status> {
        let id = "store.BlobStore.List";
        let (caller, call) = (request::caller(&request), request::call(&request));
        let options = request.into_inner().options.unwrap_or_default();
        let namespace = request::namespace_of(Some(&options.namespace), &caller);
        caller.authorize_admin(id, namespace)?;
        let (mut keys, mut cursor) = (Vec::new(), None);
        loop {
            let query = BlobQuery {
                namespace,
                prefix: &options.prefix,
                limit: 0,
                cursor: cursor.as_ref(),
            };
            let listed = self.modules.blob().list(&call, &query).await;
            let page = listed.map_err(error::module(id))?;
            keys.extend(page.blobs.into_iter().map(|blob| blob.key));
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(Response::new(BlobListResponse { keys })),
            }
        }
    }
}

/// The bytes in pieces of at most [`CHUNK`], which share them.
fn chunks(mut bytes: Bytes) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || (!bytes.is_empty()).then(|| bytes.split_to(bytes.len().min(CHUNK))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_bytes_come_in_pieces() {
        let lengths = |len| {
            chunks(Bytes::from(vec![0; len]))
                .map(|c| c.len())
                .collect::<Vec<_>>()
        };
        assert_eq!(lengths(0), [0_usize; 0]);
        assert_eq!(lengths(1_024), [1_024]);
        assert_eq!(lengths(2 * CHUNK + 1), [CHUNK, CHUNK, 1]);
    }
}
