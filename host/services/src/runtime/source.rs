//! `Source.Upload`: the archive of a source, from a stream into a blob.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures::{StreamExt, stream};
use micro_plugin_api::{
    Error as ModuleError, Result as ModuleResult,
    blob::{BlobKey, BlobMeta},
};
use micro_proto::runtime::{UploadRequest, UploadResponse, source_server::Source};
use micro_wire::Error;
use tonic::{Request, Response, Status, Streaming};

use super::{Manager, validate};
use crate::{error, request};

const ID: &str = "runtime.Source.Upload";

/// Serves `runtime.Source`.
pub(super) struct SourceService(pub(super) Manager);

#[tonic::async_trait]
impl Source for SourceService {
    async fn upload(
        &self,
        request: Request<Streaming<UploadRequest>>,
    ) -> Result<Response<UploadResponse>, Status> {
        let (caller, call) = (request::caller(&request), request::call(&request));
        if caller.account.is_none() {
            return Err(Error::unauthorized(ID, "An account is required to upload source").into());
        }
        // Whoever may replace a source decides what the service does that is built from it.
        caller.authorize_admin(ID, &caller.namespace)?;
        let mut messages = request.into_inner();
        let no_service = || Error::bad_request(ID, "No service was sent");
        let first = messages.message().await?.ok_or_else(no_service)?;
        let service = first.service.ok_or_else(no_service)?;
        let bad = |text| Error::bad_request(ID, text);
        validate::name(&service.name).map_err(bad)?;
        let version = validate::version(&service.version).map_err(bad)?;
        let id = format!("source://{}:{version}", service.name);

        // The module carries an error of the body back, but not all that the caller should see.
        let refusal = Arc::new(OnceLock::new());
        let limit = self.0.config().upload_limit;
        let body = body(first.data, messages, limit, refusal.clone());
        let meta = BlobMeta {
            content_type: "application/x-tar".to_owned(),
            public: false,
        };
        let blob = BlobKey::new(&caller.namespace, &id);
        let written = self
            .0
            .modules()
            .blob()
            .write(&call, blob, &meta, body.boxed())
            .await;
        if let Some(refusal) = refusal.get() {
            return Err(Status::clone(refusal));
        }
        written.map_err(error::module(ID))?;
        Ok(Response::new(UploadResponse { id }))
    }
}

/// The bytes of an upload, at most `limit` and at least one; why they ended early goes into
/// `refusal`.
fn body(
    first: Bytes,
    messages: Streaming<UploadRequest>,
    limit: u64,
    refusal: Arc<OnceLock<Status>>,
) -> impl futures::Stream<Item = ModuleResult<Bytes>> + Send + 'static {
    let rest = messages.map(|message| message.map(|message| message.data));
    let all = stream::iter([Ok(first)]).chain(rest);
    async_stream::stream! {
        let mut total = 0_u64;
        let refuse = |status: Status| {
            let text = status.message().to_owned();
            // Only the first reason counts, and after it nothing is read.
            let _ = refusal.set(status);
            Err(ModuleError::invalid(text))
        };
        for await data in all {
            let data = match data {
                Ok(data) => data,
                Err(status) => {
                    yield refuse(status);
                    return;
                }
            };
            total += data.len() as u64;
            if total > limit {
                let text = format!(
                    "the source is larger than {limit} bytes; exclude what it does not need with .gitignore"
                );
                yield refuse(Error::bad_request(ID, text).into());
                return;
            }
            if !data.is_empty() {
                yield Ok(data);
            }
        }
        if total == 0 {
            yield refuse(Error::bad_request(ID, "the source is empty").into());
        }
    }
}
