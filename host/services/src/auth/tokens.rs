//! `Auth`: making accounts, and tokens for who proves to be one.

use std::time::Duration;

use micro_access::{
    Access, Account, DEFAULT_TTL, KIND_SERVICE, NewAccount, SCOPE_ADMIN, SCOPE_SERVICE, Session,
};
use micro_proto::auth::{
    GenerateRequest, GenerateResponse, InspectRequest, InspectResponse, Token, TokenRequest,
    TokenResponse, auth_server::Auth,
};
use micro_wire::Error;
use secrecy::{ExposeSecret as _, SecretString};
use tonic::{Request, Response, Status};

use super::{convert, error, namespace_of};
use crate::request;

pub(super) struct AuthService {
    access: Access,
}

impl AuthService {
    pub(super) fn new(access: Access) -> Self {
        Self { access }
    }

    fn token(&self, id: &str, session: &Session, expiry: i64) -> Result<Token, Error> {
        let ttl = match u64::try_from(expiry) {
            Ok(0) => DEFAULT_TTL,
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => {
                return Err(Error::bad_request(
                    id,
                    "token_expiry must be a number of seconds, 0 for the default",
                ));
            }
        };
        let Session {
            account,
            generation,
            refresh_token,
        } = session;
        let tokens = self.access.tokens();
        let issued = tokens
            .map_err(|error| Error::service_unavailable(id, error.to_string()))?
            .issue(account, generation, ttl)
            .map_err(|_| Error::internal_server_error(id, "the token could not be signed"))?;
        Ok(Token {
            access_token: issued.access_token.expose_secret().to_owned(),
            refresh_token: refresh_token.expose_secret().to_owned(),
            created: issued.created,
            expiry: issued.expiry,
        })
    }
}

/// Whether the account that is asked for could do what its maker, a service, was let do.
fn confers_power(request: &GenerateRequest) -> bool {
    let privileged = |scope: &String| scope == SCOPE_ADMIN || scope == SCOPE_SERVICE;
    request.r#type == KIND_SERVICE || request.scopes.iter().any(privileged)
}

#[tonic::async_trait]
impl Auth for AuthService {
    /// Makes an account. The answer holds its secret, this once.
    async fn generate(
        &self,
        request: Request<GenerateRequest>,
    ) -> Result<Response<GenerateResponse>, Status> {
        const ID: &str = "auth.Auth.Generate";
        let caller = request::caller(&request);
        let request = request.into_inner();
        let namespace = namespace_of(ID, request.options.as_ref(), &caller)?;
        let own = caller.authorize_admin(ID, namespace)?;
        if !own.is_admin_person() && confers_power(&request) {
            let detail =
                "only an account of type `user` with scope `admin` may make admins and services";
            return Err(Error::forbidden(ID, detail).into());
        }
        let new = NewAccount {
            namespace: namespace.to_owned(),
            id: request.id,
            name: request.name,
            kind: request.r#type,
            scopes: request.scopes,
            metadata: request.metadata.into_iter().collect(),
            secret: Some(request.secret.into()),
        };
        let (account, secret) = self
            .access
            .accounts()
            .create(new)
            .await
            .map_err(error::account(ID))?;
        let mut account = convert::account(account);
        secret.expose_secret().clone_into(&mut account.secret);
        Ok(Response::new(GenerateResponse {
            account: Some(account),
        }))
    }

    /// Whose token this is.
    async fn inspect(
        &self,
        request: Request<InspectRequest>,
    ) -> Result<Response<InspectResponse>, Status> {
        const ID: &str = "auth.Auth.Inspect";
        let token: SecretString = request.into_inner().token.into();
        let account = self
            .access
            .inspect(token.expose_secret())
            .await
            .map_err(error::session(ID))?;
        Ok(Response::new(InspectResponse {
            account: Some(convert::account(Account::clone(&account))),
        }))
    }

    /// A token for an id or name with its secret, or for a refresh token.
    async fn token(
        &self,
        request: Request<TokenRequest>,
    ) -> Result<Response<TokenResponse>, Status> {
        const ID: &str = "auth.Auth.Token";
        let caller = request::caller(&request);
        let request = request.into_inner();
        let namespace = namespace_of(ID, request.options.as_ref(), &caller)?;
        let accounts = self.access.accounts();
        let secret = SecretString::from(request.secret);
        let refresh_token = SecretString::from(request.refresh_token);
        // Rules may deny tokens, but not to those who could mend the rules.
        let denied = |account| caller.denial(account).map_or(Ok(()), Err);
        let session = if !refresh_token.expose_secret().is_empty() {
            accounts.refresh(namespace, &refresh_token).await
        } else if !request.id.is_empty() && !secret.expose_secret().is_empty() {
            accounts
                .authenticate(namespace, &request.id, &secret, caller.source)
                .await
        } else {
            denied(None)?;
            let detail = "Credentials or a refresh token required";
            return Err(Error::bad_request(ID, detail).into());
        }
        .map_err(|failed| {
            caller
                .denial(None)
                .map_or_else(|| error::account(ID)(failed), Status::from)
        })?;
        denied(Some(&session.account))?;
        let token = self.token(ID, &session, request.token_expiry)?;
        Ok(Response::new(TokenResponse { token: Some(token) }))
    }
}
