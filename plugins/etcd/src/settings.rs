//! What a profile may say about the etcd plugin.

use std::{path::PathBuf, time::Duration};

use micro_plugin_api::{Error, Result, Secret};
use schemars::JsonSchema;
use serde::Deserialize;

/// The settings of the etcd plugin. All have defaults, so that a profile need give none.
///
/// An empty text is the same as none, so that a profile may say `"${VARIABLE:-}"`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The members of the cluster, each `http://host:port` or `https://host:port`, or several with
    /// commas between, as one variable holds them. One is used at a time; the next one when it
    /// fails. Default `["http://127.0.0.1:2379"]`.
    pub endpoints: Vec<String>,
    /// What all keys begin with, before a slash. Servers with the same prefix share everything,
    /// others see nothing of it. Any text is a prefix: a slash in it is escaped. Default `micro`.
    pub prefix: String,
    /// The user, when etcd has authentication enabled. It needs to read and write all keys that
    /// begin with the prefix and a slash.
    pub username: String,
    /// The user's password.
    pub password: Secret,
    /// The file with the certificates (PEM) of the authorities that may have signed those of the
    /// members. Default: those that the system trusts.
    pub ca: Option<PathBuf>,
    /// The file with the certificate (PEM) that this server shows to the members. Needs `key`.
    pub cert: Option<PathBuf>,
    /// The file with the private key (PEM) of `cert`.
    pub key: Option<PathBuf>,
    /// How long etcd may take to answer, in milliseconds, where a call names no earlier deadline.
    /// Default 10000.
    pub timeout_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            endpoints: vec!["http://127.0.0.1:2379".to_owned()],
            prefix: "micro".to_owned(),
            username: String::new(),
            password: Secret::default(),
            ca: None,
            cert: None,
            key: None,
            timeout_ms: 10_000,
        }
    }
}

impl Settings {
    /// The same settings, with what is empty left out and endpoints as URLs.
    ///
    /// # Errors
    /// `invalid`, saying which setting makes no sense.
    pub(crate) fn checked(mut self) -> Result<Self> {
        for path in [&mut self.ca, &mut self.cert, &mut self.key] {
            *path = path.take().filter(|path| !path.as_os_str().is_empty());
        }
        if self.cert.is_some() != self.key.is_some() {
            return Err(Error::invalid(
                "etcd: `cert` and `key` belong together; set both or neither",
            ));
        }
        if self.username.is_empty() && !self.password.reveal().is_empty() {
            return Err(Error::invalid(
                "etcd: there is a `password` and no `username`; set both or neither",
            ));
        }
        if self.prefix.is_empty() {
            return Err(Error::invalid(
                "etcd: `prefix` is empty; name what all keys are to begin with, such as `micro`",
            ));
        }
        if self.timeout_ms == 0 {
            return Err(Error::invalid(
                "etcd: `timeout_ms` is 0, so nothing would ever succeed; the default is 10000",
            ));
        }
        let several = self.endpoints.iter().flat_map(|several| several.split(','));
        let endpoints = several.map(str::trim).filter(|one| !one.is_empty());
        self.endpoints = endpoints.map(str::to_owned).collect();
        if self.endpoints.is_empty() {
            return Err(Error::invalid(
                "etcd: `endpoints` is empty; name at least one, such as http://127.0.0.1:2379",
            ));
        }
        let wants_tls = self.ca.is_some() || self.cert.is_some();
        self.endpoints = self
            .endpoints
            .iter()
            .map(|endpoint| checked_endpoint(endpoint, wants_tls))
            .collect::<Result<_>>()?;
        Ok(self)
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}

fn checked_endpoint(endpoint: &str, wants_tls: bool) -> Result<String> {
    // Before anything is shown of it.
    if endpoint.contains('@') {
        return Err(Error::invalid(
            "etcd: an endpoint holds a user; name it in `username` and `password`",
        ));
    }
    let endpoint = endpoint.trim_end_matches('/');
    let (scheme, address) = match endpoint.split_once("://") {
        Some((scheme, address)) => (scheme, address),
        None if wants_tls => ("https", endpoint),
        None => ("http", endpoint),
    };
    let has_port = address
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if !matches!(scheme, "http" | "https") || !has_port || address.contains('/') {
        return Err(Error::invalid(format!(
            "etcd: the endpoint {endpoint:?} is not one; write http://host:port or https://host:port"
        )));
    }
    if scheme == "http" && wants_tls {
        return Err(Error::invalid(format!(
            "etcd: there are certificates, and the endpoint {endpoint:?} speaks without TLS; write https://"
        )));
    }
    Ok(format!("{scheme}://{address}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(json: &str, word: &str) {
        let settings: Settings = serde_json::from_str(json).expect("settings");
        let error = settings.checked().expect_err(json);
        assert!(error.message().contains(word), "{json}: {error}");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        refused(r#"{"endpoints": []}"#, "endpoints");
        refused(r#"{"endpoints": [""]}"#, "endpoints");
        refused(r#"{"endpoints": ["ftp://a:1"]}"#, "ftp://a:1");
        refused(r#"{"endpoints": ["http://a"]}"#, "http://a");
        refused(r#"{"cert": "c"}"#, "`key`");
        refused(r#"{"password": "p"}"#, "`username`");
        refused(r#"{"prefix": ""}"#, "`prefix`");
        refused(r#"{"timeout_ms": 0}"#, "`timeout_ms`");
        refused(r#"{"ca": "c"}"#, "https://");
    }

    #[test]
    fn a_user_in_an_endpoint_is_refused_and_not_shown() {
        let json = r#"{"endpoints": ["http://root:hunter2@a:1"]}"#;
        let settings: Settings = serde_json::from_str(json).expect("settings");
        let error = settings.checked().expect_err("a user");
        assert!(!error.message().contains("hunter2"), "{error}");
    }

    #[test]
    fn what_is_empty_is_none() {
        let json = r#"{"ca": "", "cert": "", "key": "", "username": "", "password": ""}"#;
        let settings: Settings = serde_json::from_str(json).expect("settings");
        let settings = settings.checked().expect("valid");
        assert_eq!(
            (settings.ca, settings.cert, settings.key),
            (None, None, None)
        );
    }

    #[test]
    fn endpoints_become_urls() {
        let json = r#"{"endpoints": ["etcd-1:2379, https://[::1]:2379/"], "ca": "/ca.pem"}"#;
        let settings: Settings = serde_json::from_str(json).expect("settings");
        let endpoints = settings.checked().expect("valid").endpoints;
        assert_eq!(endpoints, ["https://etcd-1:2379", "https://[::1]:2379"]);
    }
}
