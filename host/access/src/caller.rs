//! The caller of one call, as the doors found them.

use std::sync::Arc;

use crate::Account;

/// Who makes a call, and in which namespace. The doors put it into the extensions of the request.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The account of a valid token; `None` for an anonymous caller.
    pub account: Option<Arc<Account>>,
    /// The namespace that the call is made in.
    pub namespace: String,
    stale: bool,
}

impl Caller {
    /// A caller who has authenticated.
    pub fn new(account: impl Into<Arc<Account>>, namespace: impl Into<String>) -> Self {
        Self {
            account: Some(account.into()),
            namespace: namespace.into(),
            stale: false,
        }
    }

    /// A caller of whom nothing is known.
    pub fn anonymous(namespace: impl Into<String>) -> Self {
        Self {
            account: None,
            namespace: namespace.into(),
            stale: false,
        }
    }
}
