//! What is wrong with accounts and tokens, as errors on the wire.

use micro_access::{AccountError, RecordError, RuleError, SecretError, SessionError};
use micro_wire::Error;
use tonic::Status;

use crate::error::from_module;

/// The error of the endpoint `id` for `map_err`.
pub(super) fn account(id: &str) -> impl Fn(AccountError) -> Status + '_ {
    move |error| {
        match &error {
            AccountError::IdRequired
            | AccountError::IdTaken
            | AccountError::NameTaken
            | AccountError::NotFound
            | AccountError::WrongSecret
            | AccountError::InvalidToken(_)
            | AccountError::Invalid(_)
            | AccountError::Namespace(_) => Error::bad_request(id, error.to_string()),
            AccountError::Privileged => Error::forbidden(id, error.to_string()),
            AccountError::Contended => Error::conflict(id, error.to_string()),
            AccountError::Secret(SecretError::Busy) => {
                Error::service_unavailable(id, error.to_string())
            }
            AccountError::Secret(_) => Error::internal_server_error(id, error.to_string()),
            AccountError::Records(error) => from_record(id, error),
        }
        .into()
    }
}

/// The error of the endpoint `id` for `map_err`.
pub(super) fn rule(id: &str) -> impl Fn(RuleError) -> Status + '_ {
    move |error| {
        match &error {
            RuleError::IdMissing
            | RuleError::IdTaken
            | RuleError::Invalid(_)
            | RuleError::TooMany(_)
            | RuleError::Namespace(_) => Error::bad_request(id, error.to_string()),
            RuleError::Contended => Error::conflict(id, error.to_string()),
            RuleError::Records(error) => from_record(id, error),
        }
        .into()
    }
}

/// The error of the endpoint `id` for `map_err`.
pub(super) fn session(id: &str) -> impl Fn(SessionError) -> Status + '_ {
    move |error| {
        match &error {
            SessionError::Invalid(_) => Error::bad_request(id, error.to_string()),
            SessionError::Key(_) => Error::service_unavailable(id, error.to_string()),
            SessionError::Records(error) => from_record(id, error),
        }
        .into()
    }
}

/// The error of the endpoint `id` for `map_err`.
pub(super) fn record(id: &str) -> impl Fn(RecordError) -> Status + '_ {
    move |error| from_record(id, &error).into()
}

fn from_record(id: &str, error: &RecordError) -> Error {
    match error {
        RecordError::Store(error) => from_module(id, error),
        RecordError::Damaged { .. } => Error::internal_server_error(id, error.to_string()),
    }
}
