//! What can be wrong with a rule. The texts are what clients of the auth service see.

use crate::records::RecordError;

/// Why a rule was not made or deleted.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    /// A rule needs an id.
    #[error("ID missing")]
    IdMissing,
    /// The namespace has a rule of this id.
    #[error("A rule with this ID already exists")]
    IdTaken,
    /// A part of the rule is none.
    #[error("{0}")]
    Invalid(String),
    /// The namespace is full.
    #[error("the namespace has {0} rules, which is the most; delete some first")]
    TooMany(usize),
    /// No namespace can have this name.
    #[error(transparent)]
    Namespace(#[from] crate::namespace::InvalidNamespace),
    /// Others keep changing the rules.
    #[error("the rules are being changed by others at the same time; try again")]
    Contended,
    /// The store failed.
    #[error(transparent)]
    Records(#[from] RecordError),
}
