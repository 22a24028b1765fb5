//! `Build.Read`: what was built of a service, where the runtime keeps it as a blob.

use futures::{StreamExt, stream::BoxStream};
use micro_plugin_api::{Code, blob::BlobKey};
use micro_proto::runtime::{BuildReadResponse, Service, build_server::Build};
use micro_wire::Error;
use tonic::{Request, Response, Status};

use super::Manager;
use crate::{error, request};

const ID: &str = "runtime.Build.Read";

/// Serves `runtime.Build`.
pub(super) struct BuildService(pub(super) Manager);

#[tonic::async_trait]
impl Build for BuildService {
    type ReadStream = BoxStream<'static, Result<BuildReadResponse, Status>>;

    async fn read(&self, request: Request<Service>) -> Result<Response<Self::ReadStream>, Status> {
        let (caller, call) = (request::caller(&request), request::call(&request));
        if caller.account.is_none() {
            return Err(Error::unauthorized(ID, "An account is required to read builds").into());
        }
        caller.authorize(ID, &caller.namespace)?;
        let service = request.into_inner();
        for (value, missing) in [
            (&service.name, "Missing name"),
            (&service.version, "Missing version"),
        ] {
            if value.is_empty() {
                return Err(Error::bad_request(ID, missing).into());
            }
        }
        let key = format!("build://{}:{}", service.name, service.version);
        let blob = self.0.modules().blob();
        let read = blob
            .read(&call, BlobKey::new(&caller.namespace, &key))
            .await;
        let (_, bytes) = read.map_err(|error| match error.code() {
            Code::NOT_FOUND => Error::not_found(ID, "Build not found"),
            _ => error::from_module(ID, &error),
        })?;
        let chunks = bytes.map(|chunk| {
            let data = chunk.map_err(error::module(ID))?;
            Ok(BuildReadResponse { data })
        });
        Ok(Response::new(chunks.boxed()))
    }
}
