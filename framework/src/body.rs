//! A response body that ends with the deadline of its call.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use tokio::time::Sleep;
use tonic::{Status, body::Body};

use crate::Error;

/// The trailers that end a response with this error.
pub(crate) fn trailers(error: &Error) -> Frame<Bytes> {
    let mut trailers = HeaderMap::new();
    // Fails only for metadata that is no header, and there is none here.
    let _ = Status::from(error.clone()).add_header(&mut trailers);
    Frame::trailers(trailers)
}

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
        Poll::Ready(this.error.take().map(|error| Ok(trailers(&error))))
    }

    fn is_end_stream(&self) -> bool {
        self.error.is_none() || self.body.is_end_stream()
    }
}
