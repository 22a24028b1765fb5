//! What went wrong in the database: whether trying again may help, and what the caller is told.

use micro_plugin_api::{Code, Error};
use sqlx::error::DatabaseError;

/// Why an attempt failed.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    text: String,
}

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The server cannot be reached, or the connection broke. Trying again may help.
    Unreachable,
    /// Somebody else was in the way. Trying again helps.
    Contended,
    /// The server lacks something or took too long: no use in trying again at once.
    Exhausted,
    /// Account, database or rights are not what the settings say.
    Refused,
    /// Anything else.
    Broken,
}

impl Failure {
    pub(crate) fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
        }
    }

    /// What the caller is told; `database` is the name of the database.
    pub(crate) fn to_error(&self, database: &str) -> Error {
        let (code, next) = match self.kind {
            Kind::Unreachable => (Code::UNAVAILABLE, "; see that it runs and can be reached"),
            Kind::Contended => (Code::UNAVAILABLE, "; try again"),
            Kind::Exhausted => (Code::UNAVAILABLE, ""),
            Kind::Refused => (
                Code::UNAVAILABLE,
                "; see the setting `url`, and that the account and the database exist",
            ),
            Kind::Broken => (Code::INTERNAL, ""),
        };
        Error::new(code, format!("{database}: {}{next}", self.text))
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => of_server(&*error),
            sqlx::Error::Io(error) => Self::new(Kind::Unreachable, error.to_string()),
            sqlx::Error::Tls(error) => Self::new(Kind::Unreachable, format!("TLS: {error}")),
            sqlx::Error::Configuration(error) => Self::new(Kind::Refused, error.to_string()),
            error @ sqlx::Error::Protocol(_) => Self::new(Kind::Unreachable, error.to_string()),
            error => Self::new(Kind::Broken, error.to_string()),
        }
    }
}

/// By the classes of <https://www.postgresql.org/docs/current/errcodes-appendix.html>. The detail
/// is left out: it quotes what is stored.
fn of_server(error: &dyn DatabaseError) -> Failure {
    let code = error.code().unwrap_or_default();
    let kind = match &*code {
        // serialization_failure, deadlock_detected, lock_not_available
        "40001" | "40P01" | "55P03" => Kind::Contended,
        // query_canceled: by statement_timeout, or by an administrator
        "57014" => Kind::Exhausted,
        // read_only_sql_transaction: it is a standby, or has become one
        "25006" => Kind::Unreachable,
        // too_many_connections
        "53300" => Kind::Unreachable,
        // insufficient_privilege, invalid_catalog_name
        "42501" | "3D000" => Kind::Refused,
        // shutdowns, start-up, idle_in_transaction_session_timeout
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => Kind::Unreachable,
        code => match code.get(..2) {
            Some("08") => Kind::Unreachable,
            Some("28") => Kind::Refused,
            Some("53" | "58") => Kind::Exhausted,
            Some("40") => Kind::Contended,
            _ => Kind::Broken,
        },
    };
    Failure::new(kind, format!("{} ({code})", error.message()))
}
