//! JetStream's API: requests on subjects, answers in JSON.

use std::time::Duration;

use async_nats::{HeaderMap, Message, Request, StatusCode, client::RequestErrorKind};
use bytes::Bytes;
use micro_plugin_api::{Error, Result};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::connection::{Connection, Deadline};

/// How long one request waits for its answer before it is made again.
const ANSWER: Duration = Duration::from_secs(2);

/// JetStream's own number of what went wrong: <https://docs.nats.io>, `err_code`.
pub(super) mod code {
    pub(crate) const CONSUMER_NOT_FOUND: u64 = 10_014;
    pub(crate) const MESSAGE_NOT_FOUND: u64 = 10_037;
    pub(crate) const NOT_ENABLED_FOR_ACCOUNT: u64 = 10_039;
    pub(crate) const STREAM_NOT_FOUND: u64 = 10_059;
    pub(crate) const WRONG_LAST_SEQUENCE: u64 = 10_071;
    pub(crate) const NOT_ENABLED: u64 = 10_076;
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Nobody listens there: no JetStream, no such stream or consumer, or it has no leader yet.
    #[error("nobody answers to it")]
    Nobody,
    /// No answer in time, or no connection.
    #[error("no answer came in time")]
    Silent,
    /// JetStream refused.
    #[error("{description} (JetStream error {err_code})")]
    Refused {
        status: u16,
        err_code: u64,
        description: String,
    },
    /// The answer makes no sense.
    #[error("an answer that makes no sense: {0}")]
    Senseless(String),
}

impl Failure {
    /// Whether JetStream refused with this code.
    pub(super) fn is(&self, wanted: u64) -> bool {
        matches!(self, Self::Refused { err_code, .. } if *err_code == wanted)
    }

    /// Whether the same request may succeed later.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Nobody | Self::Silent => true,
            Self::Refused { status, .. } => *status == 503,
            Self::Senseless(_) => false,
        }
    }

    fn is_without_jetstream(&self) -> bool {
        self.is(code::NOT_ENABLED) || self.is(code::NOT_ENABLED_FOR_ACCOUNT)
    }

    /// The error for whoever wanted `what`.
    pub(super) fn explain(&self, connection: &Connection, what: &str) -> Error {
        if self.is_without_jetstream() {
            return without_jetstream(connection);
        }
        match self {
            Self::Silent => connection.silent(),
            Self::Nobody => Error::unavailable(format!(
                "JetStream of NATS at {} cannot {what}: {self}; it may be starting, or have no \
                 leader: see its log",
                connection.servers()
            )),
            Self::Refused { .. } => Error::unavailable(format!(
                "JetStream of NATS at {} cannot {what}: {self}",
                connection.servers()
            )),
            Self::Senseless(_) => Error::internal(format!("NATS cannot {what}: {self}")),
        }
    }
}

/// The error of a server that has no JetStream.
pub(super) fn without_jetstream(connection: &Connection) -> Error {
    Error::unavailable(format!(
        "NATS at {} runs without JetStream, which keeps events: start it with `nats-server -js`, \
         or put `jetstream {{}}` into its configuration (and let this account use it)",
        connection.servers()
    ))
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    code: u16,
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

#[derive(Deserialize)]
struct Answer {
    error: Option<Refusal>,
}

/// What JetStream answers to a publish.
#[derive(Deserialize)]
pub(super) struct Stored {
    /// The place in the stream.
    pub(super) seq: u64,
}

/// What is known of a consumer when it is made.
#[derive(Deserialize)]
pub(super) struct ConsumerInfo {
    /// Its name.
    pub(super) name: String,
    /// How many messages wait for it.
    #[serde(default)]
    pub(super) num_pending: u64,
    /// What was delivered last: for a new one, where it begins.
    pub(super) delivered: Delivered,
}

#[derive(Deserialize)]
pub(super) struct Delivered {
    pub(super) stream_seq: u64,
}

/// Sends a request and gives the message that answers it.
pub(super) async fn ask(
    connection: &Connection,
    subject: &str,
    headers: Option<HeaderMap>,
    payload: Bytes,
    deadline: Deadline,
) -> Result<Message, Failure> {
    if connection.ready(deadline).await.is_err() {
        return Err(Failure::Silent);
    }
    let mut request = Request::new().payload(payload).timeout(None);
    if let Some(headers) = headers {
        request = request.headers(headers);
    }
    let asked = connection
        .client()
        .send_request(subject.to_owned(), request);
    match tokio::time::timeout(ANSWER.min(deadline.left()), asked).await {
        Ok(Ok(message)) if message.status == Some(StatusCode::NO_RESPONDERS) => {
            Err(Failure::Nobody)
        }
        Ok(Ok(message)) => Ok(message),
        Ok(Err(error)) => match error.kind() {
            RequestErrorKind::NoResponders => Err(Failure::Nobody),
            RequestErrorKind::TimedOut | RequestErrorKind::Other => Err(Failure::Silent),
            _ => Err(Failure::Senseless(error.to_string())),
        },
        Err(_) => Err(Failure::Silent),
    }
}

/// What a JSON answer says.
pub(super) fn answer<T: DeserializeOwned>(message: &Message) -> Result<T, Failure> {
    let senseless = |error: serde_json::Error| Failure::Senseless(error.to_string());
    let answer: Answer = serde_json::from_slice(&message.payload).map_err(senseless)?;
    match answer.error {
        Some(refusal) => Err(Failure::Refused {
            status: refusal.code,
            err_code: refusal.err_code,
            description: refusal.description,
        }),
        None => serde_json::from_slice(&message.payload).map_err(senseless),
    }
}

/// Makes a request of JetStream's API: `$JS.API.` and `name`.
pub(super) async fn request<T: DeserializeOwned>(
    connection: &Connection,
    name: &str,
    body: &Value,
    deadline: Deadline,
) -> Result<T, Failure> {
    let payload = match body {
        Value::Null => Bytes::new(),
        body => body.to_string().into(),
    };
    let subject = format!("$JS.API.{name}");
    answer(&ask(connection, &subject, None, payload, deadline).await?)
}
