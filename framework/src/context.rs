//! What a call brings with it, and what the calls that its handler makes take along.

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::{task::futures::TaskLocalFuture, time::Instant};

use crate::{
    Error,
    wire::{error::CLIENT_ID, metadata},
};

tokio::task_local! {
    static CURRENT: Context;
}

/// The metadata and deadline of the call being handled.
///
/// It surrounds a handler and the stream that it returns, so that calls made there carry namespace,
/// trace, authorization and whatever else the caller sent, and end when the caller stops waiting. A
/// task that a handler spawns is outside; give it the context with [`Context::scope`].
#[derive(Clone, Debug, Default)]
pub struct Context {
    headers: Arc<HeaderMap>,
    deadline: Option<Instant>,
    /// Whether there is no caller whose account could be acted on.
    own_account: bool,
}

impl Context {
    /// The context of a call with these headers.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        // An unheard-of timeout is as good as none.
        let deadline = metadata::timeout(headers).and_then(|t| Instant::now().checked_add(t));
        Self {
            headers: Arc::new(headers.clone()),
            deadline,
            own_account: false,
        }
    }

    /// The context of a message with this header: it has no caller, so that its handler calls on
    /// the service's own account.
    pub(crate) fn of_message(headers: &HeaderMap) -> Self {
        Self {
            own_account: true,
            ..Self::of(headers)
        }
    }

    /// Whether calls are made on this process's own account unless they say otherwise.
    pub(crate) fn is_own_account(&self) -> bool {
        self.own_account
    }

    /// The context of the call being handled, if one is.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }

    /// Runs a future inside of this context.
    pub fn scope<F: Future>(self, future: F) -> TaskLocalFuture<Self, F> {
        CURRENT.scope(self, future)
    }

    /// Runs a function inside of this context.
    pub fn sync_scope<R>(&self, run: impl FnOnce() -> R) -> R {
        CURRENT.sync_scope(self.clone(), run)
    }

    /// A value that the caller sent; keys are case-insensitive.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.headers.get(key)?.to_str().ok()
    }

    /// All values that are text, by lower-case key; of several the first.
    #[must_use]
    pub fn values(&self) -> BTreeMap<String, String> {
        let text = |key: &HeaderName| Some((key.to_string(), self.get(key.as_str())?.to_owned()));
        self.headers.keys().filter_map(text).collect()
    }

    /// The same context with this value in place of what the key had.
    ///
    /// # Errors
    /// 400 if key or value cannot be a header.
    pub fn with(mut self, key: &str, value: &str) -> Result<Self, Error> {
        let (name, value) = header(key, value)?;
        Arc::make_mut(&mut self.headers).insert(name, value);
        Ok(self)
    }

    /// The namespace that the call was made in.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.get(metadata::NAMESPACE)
    }

    /// When the caller stops waiting.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// How long the caller still waits; zero when that is over, `None` when it has no deadline.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline
            .map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Adds what travels on to the headers of an outgoing call, where they do not say otherwise.
    pub(crate) fn propagate(&self, headers: &mut HeaderMap) {
        for key in self.headers.keys().filter(|key| travels(key)) {
            if !headers.contains_key(key) {
                for value in self.headers.get_all(key) {
                    headers.append(key.clone(), value.clone());
                }
            }
        }
    }
}

/// Metadata as a header, which authorization is a secret one of.
pub(crate) fn header(key: &str, value: &str) -> Result<(HeaderName, HeaderValue), Error> {
    let bad = |what| Error::bad_request(CLIENT_ID, format!("invalid metadata {what}: {key:?}"));
    let name = HeaderName::try_from(key).map_err(|_| bad("key"))?;
    let mut value = HeaderValue::try_from(value).map_err(|_| bad("value of"))?;
    value.set_sensitive(name == http::header::AUTHORIZATION);
    Ok((name, value))
}

/// Whether a key belongs to the whole chain of calls rather than to one of them.
fn travels(key: &HeaderName) -> bool {
    let key = key.as_str();
    !(key.starts_with("grpc-")
        || key.starts_with("proxy-")
        || matches!(
            key,
            "content-type"
                | "content-length"
                | "user-agent"
                | "te"
                | "host"
                | "connection"
                | "upgrade"
                | "keep-alive"
                | "transfer-encoding"
                | "accept"
                | "accept-encoding"
                | metadata::TIMEOUT
                | metadata::CONTENT_TYPE
                // A decision of the client about this one hop.
                | metadata::AUTHORIZATION
                // The span of the incoming call is the parent of ours, not ours.
                | metadata::SPAN_ID
        ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_travels() {
        let mut incoming = HeaderMap::new();
        for (key, value) in [
            ("micro-namespace", "foo"),
            ("foobar", "1"),
            ("grpc-timeout", "1S"),
            ("content-type", "application/grpc"),
            ("micro-trace-id", "t"),
            ("micro-span-id", "s"),
        ] {
            incoming.insert(key, value.parse().unwrap());
        }
        assert!(Context::current().is_none());
        let (outgoing, remaining) = Context::of(&incoming)
            .scope(async {
                let context = Context::current().unwrap();
                assert_eq!(context.namespace(), Some("foo"));
                let mut outgoing = HeaderMap::new();
                outgoing.insert("foobar", "2".parse().unwrap());
                context.propagate(&mut outgoing);
                (outgoing, context.remaining())
            })
            .await;
        assert!(remaining.unwrap() <= Duration::from_secs(1));
        let mut keys: Vec<_> = outgoing.keys().map(HeaderName::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["foobar", "micro-namespace", "micro-trace-id"]);
        assert_eq!(outgoing["foobar"], "2");
    }

    #[test]
    fn a_value_can_be_set_in_place_of_another() {
        let mut incoming = HeaderMap::new();
        incoming.append("foobar", "1".parse().unwrap());
        incoming.append("foobar", "2".parse().unwrap());
        let context = Context::of(&incoming);
        let changed = context.clone().with("Foobar", "3").unwrap();
        assert_eq!(context.get("FOOBAR"), Some("1"));
        let values = [("foobar".to_owned(), "3".to_owned())];
        assert_eq!(changed.values(), BTreeMap::from(values));
        for (key, value) in [("a b", "1"), ("", "1"), ("a", "1\n2")] {
            assert_eq!(Context::default().with(key, value).unwrap_err().code, 400);
        }
    }
}
