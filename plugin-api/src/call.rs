//! What travels with every call into a plugin: how long it may take, for whom, and as part of what.

use std::time::{Duration, Instant};

/// The circumstances of one call. Every method of every module takes one first.
#[derive(Clone, Debug, Default)]
pub struct Call {
    deadline: Option<Instant>,
    namespace: String,
    trace: TraceContext,
}

/// A W3C trace context (<https://www.w3.org/TR/trace-context/>); empty strings where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceContext {
    /// The `traceparent` header: version, trace id, parent id, flags.
    pub traceparent: String,
    /// The `tracestate` header.
    pub tracestate: String,
}

impl Call {
    /// A call on behalf of `namespace`, without a deadline or a trace.
    pub fn new(namespace: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            ..Self::default()
        }
    }

    /// The same call, to be finished by `deadline`.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// The same call, to be finished within `timeout` from now.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        self.with_deadline(Instant::now() + timeout)
    }

    /// The same call, as part of a trace.
    #[must_use]
    pub fn with_trace(mut self, trace: TraceContext) -> Self {
        self.trace = trace;
        self
    }

    /// When the caller stops waiting, if ever.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// What is left until the deadline: zero when it has passed, `None` when there is none.
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// The namespace that the caller acts in. Information for logs and quotas: what a call may
    /// touch is named by its other arguments, and was authorized before it came here.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The trace that this call belongs to.
    pub fn trace(&self) -> &TraceContext {
        &self.trace
    }
}
