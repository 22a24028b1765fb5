//! How the client connects: who it is, whom it trusts, and how patient it is.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_nats::{ClientError, ConnectOptions, Event};
use micro_plugin_api::{Error, Result};
use tokio::sync::watch;

use super::{Link, backoff};
use crate::Settings;

/// How long one attempt to connect may take.
const CONNECT: Duration = Duration::from_secs(4);
/// How often a server is asked whether it is still there; twice without an answer means it is not.
const PING: Duration = Duration::from_secs(5);
/// How many messages the client may hold for a subscription until its task has had a turn.
const AHEAD: usize = 1 << 16;
/// How many reasons are told of one outage.
const SAID_MOST: usize = 4;
/// How many commands the client may hold that are not sent yet.
const COMMANDS: usize = 1_024;

pub(super) fn build(
    settings: &Settings,
    name: &str,
    changed: watch::Sender<Link>,
) -> Result<ConnectOptions> {
    let teller = Teller::new(name, changed);
    let mut options = ConnectOptions::new()
        .name(format!("micro {name}"))
        .retry_on_initial_connect()
        .max_reconnects(None)
        .connection_timeout(CONNECT)
        .ping_interval(PING)
        .request_timeout(None)
        .subscription_capacity(AHEAD)
        .client_capacity(COMMANDS)
        .reconnect_delay_callback(pause)
        .event_callback(move |event| {
            teller.note(&event);
            std::future::ready(())
        });
    if let Some(path) = &settings.credentials {
        let text = read("credentials", path)?;
        let text = String::from_utf8(text).map_err(|_| wrong("credentials", path, "no text"))?;
        options = options
            .credentials(&text)
            .map_err(|_| wrong("credentials", path, "no JWT and key as `nsc` writes them"))?;
    }
    if let (Some(user), Some(password)) = (&settings.username, &settings.password) {
        options = options.user_and_password(user.clone(), password.reveal().to_owned());
    }
    if let Some(token) = &settings.token {
        options = options.token(token.reveal().to_owned());
    }
    if let Some(path) = &settings.ca {
        certificates("ca", path)?;
        options = options.add_root_certificates(path.clone());
    }
    if let (Some(cert), Some(key)) = (&settings.cert, &settings.key) {
        certificates("cert", cert)?;
        let pem = read("key", key)?;
        if !contains(&pem, b"PRIVATE KEY-----") {
            return Err(wrong("key", key, "no private key in PEM"));
        }
        options = options.add_client_certificate(cert.clone(), key.clone());
    }
    // Whoever names an authority or a certificate wants no connection without them.
    let tls = settings.ca.is_some() || settings.cert.is_some();
    Ok(options.require_tls(tls))
}

fn certificates(setting: &str, path: &Path) -> Result<()> {
    match contains(&read(setting, path)?, b"-----BEGIN CERTIFICATE-----") {
        true => Ok(()),
        false => Err(wrong(setting, path, "no certificate in PEM")),
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn read(setting: &str, path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| wrong(setting, path, &error.to_string()))
}

fn wrong(setting: &str, path: &Path, problem: &str) -> Error {
    Error::invalid(format!(
        "the setting `{setting}` is wrong: {}: {problem}",
        path.display()
    ))
}

/// The pause before the attempt of this number.
fn pause(attempt: usize) -> Duration {
    let mut pauses = backoff();
    // It has long come to its longest then.
    let pauses = (1..attempt.min(10)).map(|_| pauses.next_wait());
    pauses.last().unwrap_or_default()
}

/// Keeps what the client tells, and logs what a person should know.
struct Teller {
    /// What the connection is for.
    name: String,
    changed: watch::Sender<Link>,
    /// Why there is none, as was said since there was one.
    said: Mutex<BTreeSet<String>>,
}

impl Teller {
    fn new(name: &str, changed: watch::Sender<Link>) -> Self {
        Self {
            name: name.to_owned(),
            changed,
            said: Mutex::default(),
        }
    }

    fn note(&self, event: &Event) {
        let name = &self.name;
        match event {
            Event::Connected => {
                tracing::info!("connected to NATS for the {name}");
                self.said().clear();
                self.changed.send_modify(|link| {
                    link.changes += 1;
                    link.problem = None;
                });
            }
            Event::Disconnected => {
                tracing::warn!("the connection to NATS for the {name} is lost; connecting again");
                self.changed.send_modify(|link| {
                    link.changes += 1;
                    link.losses += 1;
                });
            }
            Event::ClientError(ClientError::Other(problem)) => {
                // An outage has one or two faces, which take turns.
                let mut said = self.said();
                if said.len() < SAID_MOST && said.insert(problem.clone()) {
                    tracing::warn!(
                        problem,
                        "cannot connect to NATS for the {name}; trying again"
                    );
                }
                drop(said);
                self.changed.send_if_modified(|link| {
                    link.problem = Some(problem.clone());
                    false
                });
            }
            Event::SlowConsumer(subscription) => {
                tracing::warn!(
                    subscription,
                    "messages came faster than this server could hand them out, and one was dropped"
                );
            }
            event => tracing::debug!(%event, "NATS"),
        }
    }

    fn said(&self) -> MutexGuard<'_, BTreeSet<String>> {
        // A panic cannot leave a set of texts half changed.
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::PAUSE_MOST, *};

    #[test]
    fn pauses_grow_differ_and_end_at_a_second() {
        assert_eq!(pause(1), Duration::ZERO);
        let pauses: Vec<_> = (0..20).map(|_| pause(100)).collect();
        let within = |pause: &Duration| *pause >= PAUSE_MOST / 2 && *pause <= PAUSE_MOST;
        assert!(pauses.iter().all(within), "{pauses:?}");
        assert!(pauses.iter().any(|pause| *pause != pauses[0]));
        assert!(pause(2) <= Duration::from_millis(80));
    }
}
