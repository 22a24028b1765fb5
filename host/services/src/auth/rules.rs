//! `Rules`: which there are.

use micro_access::Access;
use micro_proto::auth::{
    CreateRequest, CreateResponse, DeleteRequest, DeleteResponse, ListRequest, ListResponse,
    rules_server::Rules,
};
use tonic::{Request, Response, Status};

use super::{convert, error, namespace_of};
use crate::{error::not_built, request};

pub(super) struct RulesService {
    access: Access,
}

impl RulesService {
    pub(super) fn new(access: Access) -> Self {
        Self { access }
    }
}

#[tonic::async_trait]
impl Rules for RulesService {
    async fn create(&self, _: Request<CreateRequest>) -> Result<Response<CreateResponse>, Status> {
        Err(not_built("Rules.Create"))
    }

    async fn delete(&self, _: Request<DeleteRequest>) -> Result<Response<DeleteResponse>, Status> {
        Err(not_built("Rules.Delete"))
    }

    /// Every rule of the namespace; a namespace without any gets the default rule first.
    async fn list(&self, request: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        const ID: &str = "auth.Rules.List";
        let caller = request::caller(&request);
        let namespace = namespace_of(ID, request.get_ref().options.as_ref(), &caller)?;
        caller.authorize(ID, namespace)?;
        let rules = self
            .access
            .rules()
            .list(namespace)
            .await
            .map_err(error::record(ID))?;
        Ok(Response::new(ListResponse {
            rules: rules.into_iter().map(convert::rule).collect(),
        }))
    }
}
