//! Where the database is and how sessions begin: the url, TLS, and the settings of a session.

use std::{fs::File, path::Path, str::FromStr as _};

use micro_plugin_api::{Error, Result};
use sqlx::{
    ConnectOptions as _,
    postgres::{PgConnectOptions, PgSslMode},
};

use crate::Settings;

/// How a connection is made. Its `Debug` shows no password.
pub(crate) struct Target {
    options: PgConnectOptions,
    /// What errors and logs call the database.
    pub(crate) name: String,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Target").field(&self.name).finish()
    }
}

/// The parameters of a url that are understood. Others are refused: the driver would log them,
/// with a value that may be a password.
const PARAMETERS: [&str; 13] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
    "statement-cache-capacity",
];

impl Target {
    /// What the settings say.
    ///
    /// # Errors
    /// `invalid`, naming the setting; never with a part of the url.
    pub(crate) fn new(settings: &Settings) -> Result<Self> {
        let url = settings.url.reveal();
        let mode = check(url)?;
        // The driver's own text might quote from the url.
        let options =
            PgConnectOptions::from_str(url).map_err(|_| not_a_url("it cannot be read"))?;
        let options = with_tls(options, settings, mode)?;
        let host = options.get_host().trim_matches(['[', ']']).to_owned();
        let options = options.host(&host).disable_statement_logging();
        let name = format!(
            "PostgreSQL at {} (database {})",
            match options.get_socket() {
                Some(socket) => socket.display().to_string(),
                None => format!("{host}:{}", options.get_port()),
            },
            options.get_database().unwrap_or(options.get_username()),
        );
        Ok(Self {
            options: session(options, settings),
            name,
        })
    }

    /// How the driver is told.
    pub(crate) fn options(&self) -> &PgConnectOptions {
        &self.options
    }
}

/// What every session is told at its start.
fn session(options: PgConnectOptions, settings: &Settings) -> PgConnectOptions {
    let limit = settings
        .statement_timeout
        .duration()
        .as_millis()
        .to_string();
    let schema = format!("\"{}\"", settings.schema);
    let options = match options.get_application_name() {
        Some(_) => options,
        None => options.application_name("micro"),
    };
    options.options([
        ("search_path", schema.as_str()),
        ("statement_timeout", &limit),
        ("idle_in_transaction_session_timeout", &limit),
        ("synchronous_commit", "on"),
        ("default_transaction_isolation", "read committed"),
        ("client_min_messages", "warning"),
    ])
}

/// Checks the shape of the url; the mode that it names.
fn check(url: &str) -> Result<Option<PgSslMode>> {
    if !["postgres://", "postgresql://"]
        .iter()
        .any(|scheme| url.starts_with(scheme))
    {
        return Err(not_a_url(
            "it begins with neither postgres:// nor postgresql://",
        ));
    }
    let (_, query) = url.split_once('?').unwrap_or((url, ""));
    let mut mode = None;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if name == "sslmode" {
            mode = Some(parse_mode(&value)?);
        } else if !PARAMETERS.contains(&&*name) {
            // A password with a bare `?` in it would be named here, so the name is not shown.
            return Err(not_a_url(&format!(
                "it has a parameter that is none of {}",
                PARAMETERS.join(", ")
            )));
        }
    }
    Ok(mode)
}

fn parse_mode(mode: &str) -> Result<PgSslMode> {
    Ok(match mode {
        "disable" => PgSslMode::Disable,
        "prefer" => PgSslMode::Prefer,
        "require" => PgSslMode::Require,
        "verify-ca" => PgSslMode::VerifyCa,
        "verify-full" => PgSslMode::VerifyFull,
        _ => {
            return Err(Error::invalid(
                "the `sslmode` in the setting `url` is none of disable, prefer, require, verify-ca and verify-full",
            ));
        }
    })
}

fn not_a_url(why: &str) -> Error {
    Error::invalid(format!(
        "the setting `url` is not the URL of a PostgreSQL database: {why}; write \
         postgres://USER:PASSWORD@HOST:PORT/DATABASE, with special characters percent-encoded \
         (it is secret, so it is not shown)"
    ))
}

fn with_tls(
    mut options: PgConnectOptions,
    settings: &Settings,
    mode: Option<PgSslMode>,
) -> Result<PgConnectOptions> {
    if let Some(ca) = &settings.ca {
        readable("ca", ca)?;
        // A certificate of an authority that nobody is checked against would be for show.
        let mode = match mode {
            None | Some(PgSslMode::VerifyFull) => PgSslMode::VerifyFull,
            // As libpq does it.
            Some(PgSslMode::Require | PgSslMode::VerifyCa) => PgSslMode::VerifyCa,
            Some(_) => {
                return Err(Error::invalid(
                    "the setting `ca` has no effect with this `sslmode` in the setting `url`; \
                     write require, verify-ca or verify-full, or leave out `ca`",
                ));
            }
        };
        options = options.ssl_mode(mode).ssl_root_cert(ca);
    }
    match (&settings.cert, &settings.key) {
        (Some(cert), Some(key)) => {
            readable("cert", cert)?;
            readable("key", key)?;
            options = options.ssl_client_cert(cert).ssl_client_key(key);
        }
        (None, None) => {}
        _ => {
            return Err(Error::invalid(
                "the settings `cert` and `key` belong together; give both or none",
            ));
        }
    }
    Ok(options)
}

/// Checks that a file is there, so that a wrong path is said at the start and not at each call.
fn readable(setting: &str, path: &Path) -> Result<()> {
    File::open(path).map(drop).map_err(|error| {
        Error::invalid(format!(
            "the setting `{setting}` is {}, which cannot be read: {error}",
            path.display()
        ))
    })
}

#[cfg(test)]
mod tests {
    use micro_plugin_api::Secret;

    use super::*;

    fn settings(url: &str) -> Settings {
        Settings {
            url: Secret::new(url),
            ..Settings::default()
        }
    }

    #[test]
    fn the_name_says_where_and_keeps_the_password() {
        let target = Target::new(&settings(
            "postgres://me:hunter2@db.example:6000/things?sslmode=require",
        ))
        .unwrap();
        assert_eq!(
            target.name,
            "PostgreSQL at db.example:6000 (database things)"
        );
        assert!(!format!("{target:?}").contains("hunter2"));
        let target = Target::new(&settings("postgres://me@[::1]/things")).unwrap();
        assert_eq!(target.options().get_host(), "::1");
    }

    #[test]
    fn no_error_shows_a_part_of_the_url() {
        for url in [
            "hunter2",
            "mysql://me:hunter2@host/d",
            "postgres://me:hunter2@host:port/d",
            "postgres://me:hunter2@host/d?sslmode=hunter2",
            "postgres://me@host/d?sslpassword=hunter2",
            "postgres://me:a?hunter2@host/d",
            "postgres://me:hunter2@host/d?port=hunter2",
            "postgres://me:hunter2@host/%ff",
        ] {
            let error = Target::new(&settings(url)).unwrap_err();
            assert!(error.message().contains("`url`"), "{error}");
            assert!(!error.message().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn an_authority_is_checked_against_or_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (mode, wanted) in [
            ("", Some(PgSslMode::VerifyFull)),
            ("?sslmode=require", Some(PgSslMode::VerifyCa)),
            ("?sslmode=verify-ca", Some(PgSslMode::VerifyCa)),
            ("?sslmode=verify-full", Some(PgSslMode::VerifyFull)),
            ("?sslmode=prefer", None),
            ("?sslmode=disable", None),
        ] {
            let settings = Settings {
                ca: Some(file.path().to_owned()),
                ..settings(&format!("postgres://me@host/d{mode}"))
            };
            let target = Target::new(&settings);
            let seen = target.ok().map(|it| it.options().get_ssl_mode());
            assert_eq!(format!("{seen:?}"), format!("{wanted:?}"), "{mode:?}");
        }
    }
}
