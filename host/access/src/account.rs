//! An account as the rest of the server sees it: who somebody is, and nothing secret.

use std::collections::BTreeMap;

use crate::namespace;

/// The kind of an account of a person.
pub const KIND_USER: &str = "user";
/// The kind of an account of a service.
pub const KIND_SERVICE: &str = "service";
/// The scope of those who administer their namespace.
pub const SCOPE_ADMIN: &str = "admin";
/// The scope of services, which may do in their namespace what an admin may.
pub const SCOPE_SERVICE: &str = "service";

/// Who somebody is. Holds no secret, so it may be logged and travel in tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Unique within the issuer.
    pub id: String,
    /// [`KIND_USER`], [`KIND_SERVICE`], or whatever the creator said.
    pub kind: String,
    /// The namespace that the account belongs to.
    pub issuer: String,
    /// For people; unique within the issuer too. The id where none was given.
    pub name: String,
    /// What rules and authorization go by.
    pub scopes: Vec<String>,
    /// Facts about the account; `created` holds unix seconds.
    pub metadata: BTreeMap<String, String>,
}

impl Account {
    /// Whether the account has exactly this scope.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.iter().any(|own| own == scope)
    }

    /// Whether this is a person who administers their namespace, and not a service.
    pub fn is_admin_person(&self) -> bool {
        self.kind == KIND_USER && self.has_scope(SCOPE_ADMIN)
    }

    /// Whether the account can do more than what rules let it: it administers its namespace, or
    /// is a service there.
    pub fn is_privileged(&self) -> bool {
        self.kind == KIND_SERVICE || self.has_scope(SCOPE_ADMIN) || self.has_scope(SCOPE_SERVICE)
    }

    /// Whether the account runs the whole platform: a service or an admin of namespace
    /// [`namespace::DEFAULT`].
    pub fn is_platform_admin(&self) -> bool {
        self.issuer == namespace::DEFAULT
            && (self.kind == KIND_SERVICE || self.has_scope(SCOPE_ADMIN))
    }
}
