//! The environment that the runtime gives to a service: read here and nowhere else.

use std::{env, fmt};

/// Where the platform answers when nobody says otherwise.
pub const DEFAULT_PROXY: &str = "127.0.0.1:8443";

/// What the runtime told this process. It wins over what the code says.
#[derive(Clone, Default)]
pub struct Environment {
    /// `MICRO_SERVICE_NAME`: the registry name to run under.
    pub name: Option<String>,
    /// `MICRO_SERVICE_VERSION`.
    pub version: Option<String>,
    /// `MICRO_SERVICE_ADDRESS`: where to listen, `host:port`; port 0 takes a free one.
    pub address: Option<String>,
    /// `MICRO_PROXY`: where every call goes, `host:port`.
    pub proxy: Option<String>,
    /// `MICRO_NAMESPACE`.
    pub namespace: Option<String>,
    /// `MICRO_AUTH_ID`: the service's account.
    pub auth_id: Option<String>,
    /// `MICRO_AUTH_SECRET`: its secret.
    pub auth_secret: Option<String>,
    /// `MICRO_LOG_LEVEL`: what is logged to standard error, a level or a `tracing` filter.
    pub log_level: Option<String>,
}

impl Environment {
    /// Reads the process environment. Empty variables count as unset.
    #[must_use]
    pub fn read() -> Self {
        let get = |name| env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            name: get("MICRO_SERVICE_NAME"),
            version: get("MICRO_SERVICE_VERSION"),
            address: get("MICRO_SERVICE_ADDRESS"),
            proxy: get("MICRO_PROXY"),
            namespace: get("MICRO_NAMESPACE"),
            auth_id: get("MICRO_AUTH_ID"),
            auth_secret: get("MICRO_AUTH_SECRET"),
            log_level: get("MICRO_LOG_LEVEL"),
        }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("address", &self.address)
            .field("proxy", &self.proxy)
            .field("namespace", &self.namespace)
            .field("auth_id", &self.auth_id)
            .field(
                "auth_secret",
                &self.auth_secret.as_ref().map(|_| "[secret]"),
            )
            .field("log_level", &self.log_level)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_not_shown() {
        let environment = Environment {
            auth_secret: Some("hunter2".into()),
            ..Environment::default()
        };
        assert!(!format!("{environment:?}").contains("hunter2"));
    }
}
