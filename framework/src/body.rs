//! A response body that ends with the deadline of its call.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::Frame;
use tokio::time::Sleep;
use tonic::{Status, body::Body};

use crate::Error;

/// Ends `body` with `error` once `sleep` is over.
pub(crate) struct Deadline {
    body: Body,
    sleep: Pin<Box<Sleep>>,
    error: Option<Error>,
}

impl Deadline {
    pub(crate) fn new(body: Body, at: tokio::time::Instant, error: Error) -> Self {
        Self {
            body,
            sleep: Box::pin(tokio::time::sleep_until(at)),
            error: Some(error),
        }
    }
}

impl http_body::Body for Deadline {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if this.error.is_none() {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        std::task::ready!(this.sleep.as_mut().poll(cx));
        this.body = Body::empty();
        Poll::Ready(
            this.error
                .take()
                .map(|error| Ok(Frame::trailers(error.into_trailers()))),
        )
    }

    fn is_end_stream(&self) -> bool {
        self.error.is_none() || self.body.is_end_stream()
    }
}
