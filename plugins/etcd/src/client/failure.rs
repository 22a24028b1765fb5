//! Why a call to etcd failed, and what that says about whether it was done.

use std::{error::Error as _, time::Duration};

use micro_plugin_api::{Call, Code, Error};
use tonic::Status;

/// What a failure means for trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// etcd has answered, and would say the same again. Nothing was done.
    Answer,
    /// The token of the user is no longer good. Nothing was done.
    Token,
    /// It was never sent, or etcd would not take it just now. Nothing was done.
    Refused,
    /// No answer came: it may have been done, or may still be.
    Lost,
}

/// Why a call to etcd failed.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    code: Code,
    text: String,
    /// The status code, where etcd or the client gave one.
    status: Option<tonic::Code>,
    /// Whether it may be made again by one who does not look first.
    retryable: bool,
}

impl Failure {
    pub(super) fn of(error: &etcd_client::Error) -> Self {
        match error {
            etcd_client::Error::GRpcStatus(status) => Self::of_status(status),
            etcd_client::Error::TransportError(error) => {
                Self::new(Kind::Refused, Code::UNAVAILABLE, with_causes(error))
            }
            etcd_client::Error::WatchError(text) => {
                Self::new(Kind::Lost, Code::UNAVAILABLE, text.clone())
            }
            other => Self::new(Kind::Answer, Code::INVALID, other.to_string()),
        }
    }

    fn of_status(status: &Status) -> Self {
        let said = status.message();
        let (kind, code, text) = if is_of_connecting(status) {
            (Kind::Refused, Code::UNAVAILABLE, unreachable(status))
        } else {
            of_answer(status.code(), said)
        };
        Self {
            kind,
            code,
            text,
            status: Some(status.code()),
            retryable: kind != Kind::Answer,
        }
    }

    /// No answer within this time; `sent` if there was a connection to send it on.
    pub(super) fn silence(after: Duration, sent: bool) -> Self {
        let kind = if sent { Kind::Lost } else { Kind::Refused };
        let text = format!("no answer within {:.1} s", after.as_secs_f32());
        Self::new(kind, Code::UNAVAILABLE, text)
    }

    fn new(kind: Kind, code: Code, text: impl Into<String>) -> Self {
        Self {
            kind,
            code,
            text: text.into(),
            status: None,
            retryable: kind != Kind::Answer,
        }
    }

    /// The same failure, saying at which member.
    pub(super) fn at(mut self, endpoint: &str) -> Self {
        self.text = format!("etcd at {endpoint}: {}", self.text);
        self
    }

    /// The same failure, of something that is not sent again although it may be undone.
    pub(super) fn of_a_write(mut self) -> Self {
        self.text.push_str(
            "; the write was sent and its answer lost, so it may have happened: read before writing again",
        );
        self.retryable = false;
        self
    }

    /// The same failure, as the call's own deadline makes it look.
    pub(super) fn by(mut self, call: &Call) -> Self {
        if call.remaining().is_some_and(|left| left.is_zero()) {
            self.code = Code::DEADLINE;
            self.retryable = false;
        }
        self
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether etcd has answered, and would say the same again.
    pub(crate) fn is_answer(&self) -> bool {
        self.kind == Kind::Answer
    }

    /// Whether the revision that was asked for is compacted away.
    pub(crate) fn is_compacted(&self) -> bool {
        self.status == Some(tonic::Code::OutOfRange) && self.text.contains("compacted")
    }

    /// Whether the answer was larger than is taken.
    pub(crate) fn is_too_large(&self) -> bool {
        self.status == Some(tonic::Code::OutOfRange) && !self.is_compacted()
    }

    /// Whether a lease that was named is gone.
    pub(crate) fn is_lease_gone(&self) -> bool {
        self.status == Some(tonic::Code::NotFound)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::new(failure.code, failure.text).with_retryable(failure.retryable)
    }
}

/// Whether there was no connection to send it on.
fn is_of_connecting(status: &Status) -> bool {
    if status.message().starts_with("Service was not ready") {
        return true;
    }
    let mut cause = status.source();
    while let Some(error) = cause {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Why there is no connection: what the layers above say of it tells nobody anything.
fn unreachable(status: &Status) -> String {
    let mut cause = status.source();
    while let Some(deeper) = cause.and_then(std::error::Error::source) {
        cause = Some(deeper);
    }
    let reason = cause.map_or_else(|| status.message().to_owned(), ToString::to_string);
    format!("{reason}; see that it runs and can be reached")
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut texts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !texts.iter().any(|seen| seen.contains(&text)) {
            texts.push(text);
        }
        cause = error.source();
    }
    texts.join(": ")
}

/// What an answer of etcd means, or one that the client made of a broken connection.
fn of_answer(code: tonic::Code, said: &str) -> (Kind, Code, String) {
    use tonic::Code as Status;

    let hint = |code, hint: &str| (Kind::Answer, code, format!("{said}; {hint}"));
    match code {
        Status::Unauthenticated => (Kind::Token, Code::UNAVAILABLE, said.to_owned()),
        Status::InvalidArgument if said.contains("revision of auth store is old") => {
            (Kind::Token, Code::UNAVAILABLE, said.to_owned())
        }
        Status::InvalidArgument if said.contains("authentication failed") => hint(
            Code::UNAVAILABLE,
            "check `username` and `password` of the plugin's settings",
        ),
        Status::InvalidArgument if said.contains("user name is empty") => hint(
            Code::UNAVAILABLE,
            "authentication is enabled there: set `username` and `password`",
        ),
        Status::FailedPrecondition if said.contains("authentication is not enabled") => hint(
            Code::UNAVAILABLE,
            "remove `username` and `password`, or enable it there",
        ),
        Status::InvalidArgument if said.contains("request is too large") => {
            hint(Code::INVALID, TOO_LARGE)
        }
        Status::ResourceExhausted if said.contains("message larger than max") => {
            hint(Code::INVALID, TOO_LARGE)
        }
        Status::InvalidArgument if said.contains("too many operations") => hint(
            Code::INVALID,
            "etcd's --max-txn-ops is less than the 128 it has by default, which a commit of 64 operations may need",
        ),
        Status::PermissionDenied => hint(
            Code::UNAVAILABLE,
            "grant the user to read and write all keys that begin with the prefix of the settings and a slash",
        ),
        Status::ResourceExhausted if said.contains("database space exceeded") => hint(
            Code::UNAVAILABLE,
            "compact and defragment it, then disarm the alarm (etcdctl alarm disarm)",
        ),
        Status::ResourceExhausted if said.contains("too many requests") => {
            (Kind::Refused, Code::UNAVAILABLE, said.to_owned())
        }
        Status::Unavailable if said == "etcdserver: no leader" => {
            (Kind::Refused, Code::UNAVAILABLE, said.to_owned())
        }
        Status::NotFound => (Kind::Answer, Code::NOT_FOUND, said.to_owned()),
        Status::InvalidArgument | Status::FailedPrecondition | Status::OutOfRange => {
            (Kind::Answer, Code::INTERNAL, said.to_owned())
        }
        Status::Unimplemented => (Kind::Answer, Code::UNSUPPORTED, said.to_owned()),
        _ => (Kind::Lost, Code::UNAVAILABLE, said.to_owned()),
    }
}

const TOO_LARGE: &str = "the commit is larger than what etcd takes in one request, which is 1.5 MiB unless it \
     was started with a larger --max-request-bytes; split the commit";
