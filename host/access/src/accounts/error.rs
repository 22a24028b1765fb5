//! What can be wrong with an account. The texts are what clients of the auth service see.

use crate::{InvalidToken, SecretError, records::RecordError};

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
    /// The refresh token is none, or none any more.
    #[error(transparent)]
    InvalidToken(#[from] InvalidToken),
    /// No namespace can have this name.
    #[error(
        "'{0}' cannot be a namespace: up to 128 bytes without white space, '/' and ',', and no '$' in front"
    )]
    Namespace(String),
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
