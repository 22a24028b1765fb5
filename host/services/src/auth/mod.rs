//! The core service `auth`: accounts, tokens and rules, over `micro-access`.

mod accounts;
mod convert;
mod error;
mod rules;
mod tokens;

use micro_access::{Caller, namespace};
use micro_proto::auth::{
    Options, accounts_server::AccountsServer, auth_server::AuthServer, rules_server::RulesServer,
};
use micro_wire::{Error, Handlers, frame::MAX_MESSAGE, json::MethodsError};

use crate::{core::Platform, request};

/// The handlers `Auth`, `Accounts` and `Rules`.
pub(crate) fn handlers(platform: &Platform) -> Result<Handlers, MethodsError> {
    let pool = micro_proto::descriptor_pool();
    let access = &platform.access;
    let auth = AuthServer::new(tokens::AuthService::new(access.clone()));
    let accounts = AccountsServer::new(accounts::AccountsService::new(access.clone()));
    let rules = RulesServer::new(rules::RulesService::new(access.clone()));
    Handlers::new()
        .add(
            auth.max_decoding_message_size(MAX_MESSAGE)
                .max_encoding_message_size(MAX_MESSAGE),
            pool,
        )?
        .add(
            accounts
                .max_decoding_message_size(MAX_MESSAGE)
                .max_encoding_message_size(MAX_MESSAGE),
            pool,
        )?
        .add(
            rules
                .max_decoding_message_size(MAX_MESSAGE)
                .max_encoding_message_size(MAX_MESSAGE),
            pool,
        )
}

/// The namespace that a request of the endpoint `id` is about.
fn namespace_of<'a>(
    id: &str,
    options: Option<&'a Options>,
    caller: &'a Caller,
) -> Result<&'a str, Error> {
    let said = options.map(|options| options.namespace.as_str());
    let name = request::namespace_of(said, caller);
    if namespace::is_reserved(name) {
        return Err(Error::forbidden(id, "Access denied to namespace"));
    }
    namespace::check(name).map_err(|error| Error::bad_request(id, error.to_string()))
}
