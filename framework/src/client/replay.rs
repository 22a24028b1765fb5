//! A request body that can be sent again: what went out is kept, up to a limit.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http_body::{Body as _, Frame};
use tonic::{Status, body::Body};

/// More than this is not kept, in bytes; the call is then not tried again.
const KEPT: usize = 4 * 1024 * 1024;

/// The body of a call over all its attempts.
#[derive(Clone)]
pub(super) struct Replay {
    state: Arc<Mutex<State>>,
}

struct State {
    source: Body,
    sent: Vec<Bytes>,
    size: usize,
    started: bool,
    ended: bool,
    /// Which attempt may read; an older one, still held by a connection, gets nothing.
    attempt: u32,
    /// Nobody waits for an answer any more.
    cancelled: bool,
    /// Who waits for the source.
    waker: Option<Waker>,
}

/// Cancels a call when it is dropped. HTTP/2 alone would keep it alive for as long as its request
/// body has not ended, and a stream of requests may never end.
pub(super) struct CancelOnDrop(Replay);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        if state.ended {
            return;
        }
        state.cancelled = true;
        let source = std::mem::replace(&mut state.source, Body::empty());
        let waker = state.waker.take();
        // Both may run code of others.
        drop(state);
        drop(source);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Replay {
    pub(super) fn new(source: Body) -> Self {
        let state = State {
            source,
            sent: Vec::new(),
            size: 0,
            started: false,
            ended: false,
            attempt: 0,
            cancelled: false,
            waker: None,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// What ends the call when it is dropped.
    pub(super) fn guard(&self) -> CancelOnDrop {
        CancelOnDrop(self.clone())
    }

    /// The body for the next attempt.
    pub(super) fn next_attempt(&self) -> Body {
        let attempt = {
            let mut state = self.lock();
            state.attempt += 1;
            state.attempt
        };
        // `Body::new` asks the attempt whether it is at its end, which takes the lock again.
        Body::new(Attempt {
            replay: self.clone(),
            attempt,
            next: 0,
        })
    }

    /// Whether nothing has been taken of it: then no handler can have seen the call.
    pub(super) fn untouched(&self) -> bool {
        !self.lock().started
    }

    /// Whether another attempt would send the same: all of it was sent and kept, or none of it.
    pub(super) fn can_repeat(&self) -> bool {
        let mut state = self.lock();
        // The end may not have been asked for yet when the answer came.
        while state.started && !state.ended && state.size <= KEPT {
            let mut cx = Context::from_waker(Waker::noop());
            match Pin::new(&mut state.source).poll_frame(&mut cx) {
                Poll::Ready(frame @ (Some(Ok(_)) | None)) => state.took(frame.as_ref()),
                Poll::Ready(Some(Err(_))) | Poll::Pending => return false,
            }
        }
        state.size <= KEPT
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A poisoned state is one whose source panicked; it will say so again.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn took(&mut self, frame: Option<&Result<Frame<Bytes>, Status>>) {
        match frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.size += data.len();
                    self.sent.push(data.clone());
                    if self.size > KEPT {
                        self.sent.clear();
                    }
                }
            }
            Some(Err(_)) => {}
            None => self.ended = true,
        }
    }
}

struct Attempt {
    replay: Replay,
    attempt: u32,
    next: usize,
}

impl http_body::Body for Attempt {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let mut state = this.replay.lock();
        if state.attempt != this.attempt {
            return Poll::Ready(None);
        }
        if let Some(data) = state.sent.get(this.next) {
            this.next += 1;
            return Poll::Ready(Some(Ok(Frame::data(data.clone()))));
        }
        if state.ended {
            return Poll::Ready(None);
        }
        if state.cancelled {
            // An end would look as if all had been said.
            state.ended = true;
            return Poll::Ready(Some(Err(Status::cancelled("the caller went away"))));
        }
        state.started = true;
        let Poll::Ready(frame) = Pin::new(&mut state.source).poll_frame(cx) else {
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        };
        state.took(frame.as_ref());
        this.next = state.sent.len();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        let state = self.replay.lock();
        state.attempt != self.attempt
            || (self.next >= state.sent.len()
                && (state.ended || (!state.cancelled && state.source.is_end_stream())))
    }
}
