//! What a call brings with it, and what the calls that its handler makes take along.

use std::{future::Future, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName};
use tokio::{task::futures::TaskLocalFuture, time::Instant};

use crate::wire::metadata;

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
        }
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

    /// A value that the caller sent; keys are lower-case.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.headers.get(key)?.to_str().ok()
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
}
