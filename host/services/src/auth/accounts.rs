//! `Accounts`: what there are, deleting them, changing their secrets.

use micro_access::{Access, Account, KIND_SERVICE, Proof, Reach, SCOPE_ADMIN, namespace};
use micro_proto::auth::{
    ChangeSecretRequest, ChangeSecretResponse, DeleteAccountRequest, DeleteAccountResponse,
    ListAccountsRequest, ListAccountsResponse, accounts_server::Accounts,
};
use micro_wire::Error;
use secrecy::{ExposeSecret as _, SecretString};
use tonic::{Request, Response, Status};

use super::{convert, error, namespace_of};
use crate::request;

pub(super) struct AccountsService {
    access: Access,
}

impl AccountsService {
    pub(super) fn new(access: Access) -> Self {
        Self { access }
    }
}

#[tonic::async_trait]
impl Accounts for AccountsService {
    /// Every account of the namespace.
    async fn list(
        &self,
        request: Request<ListAccountsRequest>,
    ) -> Result<Response<ListAccountsResponse>, Status> {
        const ID: &str = "auth.Accounts.List";
        let caller = request::caller(&request);
        let namespace = namespace_of(ID, request.get_ref().options.as_ref(), &caller)?;
        caller.authorize_admin(ID, namespace)?;
        let accounts = self
            .access
            .accounts()
            .list(namespace)
            .await
            .map_err(error::account(ID))?;
        Ok(Response::new(ListAccountsResponse {
            accounts: accounts.into_iter().map(convert::account).collect(),
        }))
    }

    /// Deletes an account other than the caller's own, by id or name. A service may not delete
    /// admins and services.
    async fn delete(
        &self,
        request: Request<DeleteAccountRequest>,
    ) -> Result<Response<DeleteAccountResponse>, Status> {
        const ID: &str = "auth.Accounts.Delete";
        let caller = request::caller(&request);
        let request = request.into_inner();
        if caller.account.is_none() {
            return Err(Error::unauthorized(ID, "Unauthorized").into());
        }
        let namespace = namespace_of(ID, request.options.as_ref(), &caller)?;
        let own = caller.authorize_admin(ID, namespace)?;
        if request.id.is_empty() {
            return Err(Error::bad_request(ID, "Missing ID").into());
        }
        let accounts = self.access.accounts();
        let found = accounts
            .find(namespace, &request.id)
            .await
            .map_err(error::account(ID))?;
        if found.is_some_and(|found| found.id == own.id && found.issuer == own.issuer) {
            return Err(Error::bad_request(ID, "Can't delete your own account").into());
        }
        accounts
            .delete(namespace, &request.id, reach(own))
            .await
            .map_err(error::account(ID))?;
        Ok(Response::new(DeleteAccountResponse {}))
    }

    /// Gives an account a new secret. An old secret that is given must be right, whoever gives
    /// it; those who may do without are [`may_overrule`].
    async fn change_secret(
        &self,
        request: Request<ChangeSecretRequest>,
    ) -> Result<Response<ChangeSecretResponse>, Status> {
        const ID: &str = "auth.Accounts.ChangeSecret";
        let caller = request::caller(&request);
        let request = request.into_inner();
        let old = SecretString::from(request.old_secret);
        let new = SecretString::from(request.new_secret);
        let namespace = namespace_of(ID, request.options.as_ref(), &caller)?;
        let own = caller.authorize(ID, namespace)?;
        if request.id.is_empty() {
            return Err(Error::bad_request(ID, "Missing ID").into());
        }
        if new.expose_secret().is_empty() {
            return Err(Error::bad_request(ID, "New secret should not be blank").into());
        }
        let proof = if old.expose_secret().is_empty() {
            if !may_overrule(own, namespace) {
                return Err(Error::bad_request(ID, "Secret not correct").into());
            }
            Proof::Authority(reach(own))
        } else {
            Proof::Secret(&old)
        };
        self.access
            .accounts()
            .change_secret(namespace, &request.id, proof, &new, caller.source)
            .await
            .map_err(error::account(ID))?;
        Ok(Response::new(ChangeSecretResponse {}))
    }
}

/// Whose accounts `own` may change without their secrets.
fn reach(own: &Account) -> Reach {
    if own.is_admin_person() {
        Reach::Everybody
    } else {
        Reach::Plain
    }
}

/// Whether `account` may change secrets in `namespace` without knowing them: admins of `micro`,
/// and the services of the namespace (a signup service does it), these not those of admins and
/// services.
fn may_overrule(account: &Account, namespace: &str) -> bool {
    (account.issuer == namespace::DEFAULT && account.has_scope(SCOPE_ADMIN))
        || (account.kind == KIND_SERVICE && account.issuer == namespace)
}
