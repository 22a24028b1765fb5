//! The moment at which a call is given up, here as at every other station of its way.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::HeaderMap;
use micro_wire::{
    Error,
    error::CLIENT_ID,
    metadata::{self, GRPC_TIMEOUT, TIMEOUT},
};
use tokio::time::{Instant, Sleep, sleep_until};

/// Time spent here that is too short to rewrite the metadata for.
const NEGLIGIBLE: Duration = Duration::from_millis(1);

/// When a call ends at the latest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    arrived: Instant,
    at: Instant,
}

impl Deadline {
    /// The deadline that the metadata of a call which has just arrived asks for.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let timeout = metadata::timeout(headers)?;
        let arrived = Instant::now();
        // A time that no clock will reach is none.
        let at = arrived.checked_add(timeout)?;
        Some(Self { arrived, at })
    }

    /// Writes what is left into the metadata of the call as it goes on.
    pub(crate) fn pass_on(self, headers: &mut HeaderMap) {
        let now = Instant::now();
        let whole = headers.contains_key(TIMEOUT) && headers.contains_key(GRPC_TIMEOUT);
        if !whole || now - self.arrived > NEGLIGIBLE {
            metadata::set_timeout(headers, self.at - now);
        }
    }

    pub(crate) fn timer(self) -> Timer {
        Timer(Box::pin(sleep_until(self.at)))
    }
}

/// Runs out at a deadline.
pub(crate) struct Timer(Pin<Box<Sleep>>);

impl Timer {
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

/// What a caller is told whose deadline has passed.
pub(crate) fn exceeded() -> Error {
    Error::timeout(CLIENT_ID, "context deadline exceeded")
}
