//! `Rules`: which there are, making and deleting them.

use micro_access::{Access, Caller};
use micro_proto::auth::{
    CreateRequest, CreateResponse, DeleteRequest, DeleteResponse, ListRequest, ListResponse,
    Options, rules_server::Rules,
};
use micro_wire::Error;
use tonic::{Request, Response, Status};

use super::{convert, error, namespace_of};
use crate::request;

pub(super) struct RulesService {
    access: Access,
}

impl RulesService {
    pub(super) fn new(access: Access) -> Self {
        Self { access }
    }
}

/// The namespace whose rules the caller wants to change, if they may.
fn administered<'a>(
    id: &str,
    options: Option<&'a Options>,
    caller: &'a Caller,
) -> Result<&'a str, Error> {
    let namespace = namespace_of(id, options, caller)?;
    caller.authorize_person(id, namespace)?;
    Ok(namespace)
}

#[tonic::async_trait]
impl Rules for RulesService {
    /// Makes a rule.
    async fn create(
        &self,
        request: Request<CreateRequest>,
    ) -> Result<Response<CreateResponse>, Status> {
        const ID: &str = "auth.Rules.Create";
        let caller = request::caller(&request);
        let CreateRequest { rule, options } = request.into_inner();
        let namespace = administered(ID, options.as_ref(), &caller)?;
        let rule = convert::new_rule(rule).map_err(|text| Error::bad_request(ID, text))?;
        self.access
            .rules()
            .create(namespace, rule)
            .await
            .map_err(error::rule(ID))?;
        Ok(Response::new(CreateResponse {}))
    }

    /// Deletes a rule. One that is not there is deleted already.
    async fn delete(
        &self,
        request: Request<DeleteRequest>,
    ) -> Result<Response<DeleteResponse>, Status> {
        const ID: &str = "auth.Rules.Delete";
        let caller = request::caller(&request);
        let DeleteRequest { id, options } = request.into_inner();
        let namespace = administered(ID, options.as_ref(), &caller)?;
        self.access
            .rules()
            .delete(namespace, &id)
            .await
            .map_err(error::rule(ID))?;
        Ok(Response::new(DeleteResponse {}))
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
