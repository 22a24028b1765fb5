//! What can be said about one call.

use std::time::Duration;

use http::HeaderMap;

use crate::{Error, context};

/// Options of a call; what is not set is as the client says.
#[derive(Clone, Debug, Default)]
pub struct CallOptions {
    pub(super) timeout: Option<Option<Duration>>,
    pub(super) retries: Option<u32>,
    pub(super) namespace: Option<String>,
    pub(super) metadata: HeaderMap,
    pub(super) account: Account,
}

/// On whose account a call is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Account {
    /// The caller's of the call being handled; outside of any, the client's own.
    #[default]
    Callers,
    /// The client's own.
    Own,
    /// Nobody's.
    Nobodys,
}

impl CallOptions {
    /// Nothing special.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How long to wait for the whole call, retries included. The default is ten seconds for unary
    /// calls and no limit for streams; the deadline of the call being handled cuts either short.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(Some(timeout));
        self
    }

    /// Waits as long as it takes.
    #[must_use]
    pub fn no_timeout(mut self) -> Self {
        self.timeout = Some(None);
        self
    }

    /// How often to try again after an answer of 500 or 408, or no connection: once by default.
    /// Zero for a handler that must not run twice.
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = Some(retries);
        self
    }

    /// The namespace to call in.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Calls as this process (a service's own account) rather than on behalf of the caller of the
    /// call being handled.
    #[must_use]
    pub fn auth_token(mut self) -> Self {
        self.account = Account::Own;
        self
    }

    /// Calls without any authorization.
    #[must_use]
    pub fn anonymous(mut self) -> Self {
        self.account = Account::Nobodys;
        self
    }

    /// Sends a value along; keys are case-insensitive.
    ///
    /// # Errors
    /// 400 if key or value cannot be a header.
    pub fn metadata(mut self, key: &str, value: &str) -> Result<Self, Error> {
        let (name, value) = context::header(key, value)?;
        self.metadata.insert(name, value);
        Ok(self)
    }
}
