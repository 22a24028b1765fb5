//! What a profile may say about the NATS plugin.

use std::{path::PathBuf, time::Duration};

use async_nats::ServerAddr;
use micro_plugin_api::{Error, Result, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The settings of the NATS plugin. All have defaults, so that a profile need give none.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where NATS is: one address or a list, `nats://HOST:PORT` or `tls://HOST:PORT`, without
    /// credentials. Default `nats://127.0.0.1:4222`.
    pub url: Urls,
    /// With what the names of all subjects and streams begin: letters, digits, `-` and `_`.
    /// Platforms that share a NATS differ in it. Default `micro`.
    pub prefix: String,
    /// A credentials file, as `nsc` writes it: a JWT and the key that proves it.
    pub credentials: Option<PathBuf>,
    /// The user to log in as; with `password`.
    pub username: Option<String>,
    /// That user's password.
    pub password: Option<Secret>,
    /// A token to log in with.
    pub token: Option<Secret>,
    /// A PEM file of the authorities that the server's certificate may be signed by. Default:
    /// those that this machine trusts.
    pub ca: Option<PathBuf>,
    /// A PEM file with this client's certificate; with `key`.
    pub cert: Option<PathBuf>,
    /// A PEM file with that certificate's private key.
    pub key: Option<PathBuf>,
    /// How long a call without a deadline waits for NATS, in seconds. Default 10.
    pub timeout: u64,
    /// How long events of the stream are kept, in seconds. Default 604800, a week.
    pub max_age: u64,
    /// How many bytes of events are kept, in all topics together: beyond that the oldest go.
    /// JetStream sets them aside, and a little more for groups. Default 268435456, 256 MiB.
    pub max_bytes: u64,
    /// On how many servers of a NATS cluster each event is kept: 1, 3 or 5. Default 1. It is said
    /// once, when the stream is made.
    pub replicas: u8,
}

/// One address, or several of one cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Urls {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: Urls::One("nats://127.0.0.1:4222".to_owned()),
            prefix: "micro".to_owned(),
            credentials: None,
            username: None,
            password: None,
            token: None,
            ca: None,
            cert: None,
            key: None,
            timeout: 10,
            max_age: 7 * 24 * 3_600,
            max_bytes: 256 << 20,
            replicas: 1,
        }
    }
}

impl Settings {
    /// The addresses.
    ///
    /// # Errors
    /// `invalid` if there is none, one cannot be read or holds credentials.
    pub(crate) fn servers(&self) -> Result<Vec<ServerAddr>> {
        let urls = match &self.url {
            Urls::One(url) => std::slice::from_ref(url),
            Urls::Many(urls) => urls,
        };
        if urls.is_empty() {
            return Err(Error::invalid("the setting `url` is an empty list"));
        }
        urls.iter()
            .map(|url| {
                // Before anything else, so that no message shows them.
                if url.contains('@') {
                    return Err(Error::invalid(
                        "the setting `url` holds credentials, which would show in logs; give \
                         `username` and `password`, `token` or `credentials` in their place",
                    ));
                }
                url.parse().map_err(|error| {
                    Error::invalid(format!("the setting `url` is wrong: {url:?}: {error}"))
                })
            })
            .collect()
    }

    /// Checks what no type can.
    ///
    /// # Errors
    /// `invalid`, naming the setting.
    pub(crate) fn check(&self) -> Result<()> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if self.prefix.is_empty() || self.prefix.len() > 64 || !self.prefix.chars().all(plain) {
            return Err(Error::invalid(format!(
                "the setting `prefix` is wrong: {:?}; it takes 1 to 64 letters, digits, `-` and `_`",
                self.prefix
            )));
        }
        if self.username.is_some() != self.password.is_some() {
            return Err(Error::invalid(
                "the settings `username` and `password` belong together; give both or neither",
            ));
        }
        if self.cert.is_some() != self.key.is_some() {
            return Err(Error::invalid(
                "the settings `cert` and `key` belong together; give both or neither",
            ));
        }
        let ways = [
            self.credentials.is_some(),
            self.username.is_some(),
            self.token.is_some(),
        ];
        if ways.into_iter().filter(|given| *given).count() > 1 {
            return Err(Error::invalid(
                "there is one way to log in: give `credentials`, `username` and `password`, or \
                 `token`",
            ));
        }
        for (name, value) in [
            ("timeout", self.timeout),
            ("max_age", self.max_age),
            ("max_bytes", self.max_bytes),
        ] {
            if value == 0 || i64::try_from(value).is_err() {
                return Err(Error::invalid(format!(
                    "the setting `{name}` is wrong: {value}"
                )));
            }
        }
        if !matches!(self.replicas, 1 | 3 | 5) {
            return Err(Error::invalid(format!(
                "the setting `replicas` is wrong: {}; it takes 1, 3 or 5",
                self.replicas
            )));
        }
        Ok(())
    }

    /// How long a call without a deadline waits.
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}

#[cfg(test)]
mod tests {
    use micro_plugin_api::Code;

    use super::*;

    #[test]
    fn what_is_wrong_is_named_and_no_secret_is_shown() {
        let with = |change: fn(&mut Settings)| {
            let mut settings = Settings::default();
            change(&mut settings);
            settings.check().and_then(|()| settings.servers())
        };
        assert!(with(|_| {}).is_ok());
        type Change = fn(&mut Settings);
        let cases: [(&str, Change); 8] = [
            ("prefix", |it| it.prefix = "a.b".to_owned()),
            ("password", |it| it.username = Some("u".to_owned())),
            ("key", |it| it.cert = Some("c".into())),
            ("one way", |it| {
                it.token = Some(Secret::new("hidden"));
                it.credentials = Some("c".into());
            }),
            ("max_age", |it| it.max_age = 0),
            ("replicas", |it| it.replicas = 2),
            ("url", |it| it.url = Urls::Many(Vec::new())),
            ("credentials", |it| {
                it.url = Urls::One("nats://u:hidden@h".to_owned());
            }),
        ];
        for (named, change) in cases {
            let error = with(change).unwrap_err();
            assert_eq!(error.code(), Code::INVALID);
            assert!(error.message().contains(named), "{error}");
            assert!(!error.message().contains("hidden"), "{error}");
        }
    }
}
