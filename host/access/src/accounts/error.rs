//! What can be wrong with an account. The texts are what clients of the auth service see.

use crate::{InvalidToken, SecretError, namespace::InvalidNamespace, records::RecordError};

/// Why something was not done with an account.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// An account needs an id.
    #[error("ID required")]
    IdRequired,
    /// Somebody has this id.
    #[error("Account with this ID already exists")]
    IdTaken,
    /// Somebody has this name.
    #[error("Account with this Name already exists")]
    NameTaken,
    /// Nobody has this id or name.
    #[error("Account not found with this ID")]
    NotFound,
    /// The secret is another.
    #[error("Secret not correct")]
    WrongSecret,
    /// The account can do too much for whoever wanted to change it.
    #[error(
        "only an account of type `user` with scope `admin` may change accounts of admins and services"
    )]
    Privileged,
    /// The refresh token is none, or none any more.
    #[error(transparent)]
    InvalidToken(#[from] InvalidToken),
    /// A part of the account is none.
    #[error("{0}")]
    Invalid(String),
    /// No namespace can have this name.
    #[error(transparent)]
    Namespace(#[from] InvalidNamespace),
    /// Others keep changing the account.
    #[error("the account is being changed by others at the same time; try again")]
    Contended,
    /// The secret could be neither hashed nor verified.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The store failed.
    #[error(transparent)]
    Records(#[from] RecordError),
}
