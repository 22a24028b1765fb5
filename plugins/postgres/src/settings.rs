//! What a profile may say about the postgres plugin.

use std::{path::PathBuf, time::Duration};

use micro_plugin_api::{Error, Result, Secret};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::Period;

/// The settings of the postgres plugin. All have defaults, so that a profile need give none.
/// Lengths of time are whole numbers of seconds, or texts such as `500ms`, `10s`, `5m`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The database: `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=MODE`, with special
    /// characters percent-encoded. The modes are those of libpq: `disable`, `prefer` (the
    /// default; TLS if the server has it), `require`, `verify-ca`, `verify-full` (the default if
    /// `ca` is given). What it leaves out is taken from libpq's variables, such as `PGPASSWORD`,
    /// and `~/.pgpass`. Never shown. Default `postgres://postgres@127.0.0.1:5432/micro`.
    pub url: Secret,
    /// The schema that holds the tables; it is made if it is not there. Letters, digits and `_`,
    /// at most 63. Default `micro`.
    pub schema: String,
    /// A file with the certificates, in PEM, of those who may have signed the server's. Default:
    /// the authorities that Mozilla trusts, built in.
    pub ca: Option<PathBuf>,
    /// A file with the client's certificate, in PEM; with `key`.
    pub cert: Option<PathBuf>,
    /// A file with the private key of `cert`, in PEM.
    pub key: Option<PathBuf>,
    /// The most connections at a time, one of which is kept for commits. At least 2. Default 12.
    pub max_connections: u32,
    /// How long a connection may be unused before it is closed. Default `10m`.
    pub idle_timeout: Period,
    /// How old a connection may become before another takes its place. Default `30m`.
    pub max_lifetime: Period,
    /// How long a call waits for a connection, attempts to make one included. Default `3s`.
    pub connect_timeout: Period,
    /// How long a call may take that has no deadline of its own, and each attempt at a commit.
    /// Default `10s`.
    pub timeout: Period,
    /// How long the server may work on one statement, or wait within a transaction, before it
    /// gives up by itself. Default `10s`.
    pub statement_timeout: Period,
    /// How often the log of changes is read while somebody watches. Default `100ms`.
    pub watch_interval: Period,
    /// How often what has expired is collected. Default `30s`.
    pub sweep_interval: Period,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: Secret::new("postgres://postgres@127.0.0.1:5432/micro"),
            schema: "micro".to_owned(),
            ca: None,
            cert: None,
            key: None,
            max_connections: 12,
            idle_timeout: Period::from_secs(600),
            max_lifetime: Period::from_secs(1_800),
            connect_timeout: Period::from_secs(3),
            timeout: Period::from_secs(10),
            statement_timeout: Period::from_secs(10),
            watch_interval: Period::from_millis(100),
            sweep_interval: Period::from_secs(30),
        }
    }
}

/// The longest name of PostgreSQL, in bytes.
const MAX_NAME: usize = 63;

/// The shortest length of time that makes sense anywhere here.
const SHORTEST: Duration = Duration::from_millis(10);

impl Settings {
    /// Checks everything but the url and the certificates.
    ///
    /// # Errors
    /// `invalid`, naming the setting.
    pub(crate) fn validate(&self) -> Result<()> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if self.schema.is_empty() || self.schema.len() > MAX_NAME || !self.schema.chars().all(plain)
        {
            return Err(Error::invalid(format!(
                "the setting `schema` is {:?}; write 1 to {MAX_NAME} letters, digits and `_`",
                self.schema
            )));
        }
        if self.max_connections < 2 {
            return Err(Error::invalid(
                "the setting `max_connections` is less than 2: one is for commits, the others for the rest",
            ));
        }
        for (name, period) in [
            ("idle_timeout", self.idle_timeout),
            ("max_lifetime", self.max_lifetime),
            ("connect_timeout", self.connect_timeout),
            ("timeout", self.timeout),
            ("statement_timeout", self.statement_timeout),
            ("watch_interval", self.watch_interval),
            ("sweep_interval", self.sweep_interval),
        ] {
            if period.duration() < SHORTEST {
                return Err(Error::invalid(format!(
                    "the setting `{name}` is {period:?}; at least {SHORTEST:?} make sense"
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        assert!(Settings::default().validate().is_ok());
        type Change = fn(&mut Settings);
        let cases: [(&str, Change); 4] = [
            ("schema", |it| it.schema = "a\"b".to_owned()),
            ("schema", |it| it.schema = String::new()),
            ("max_connections", |it| it.max_connections = 1),
            ("timeout", |it| it.timeout = Period::from_millis(0)),
        ];
        for (name, change) in cases {
            let mut settings = Settings::default();
            change(&mut settings);
            let error = settings.validate().unwrap_err();
            assert!(error.message().contains(&format!("`{name}`")), "{error}");
        }
    }
}
