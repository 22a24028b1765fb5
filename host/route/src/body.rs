//! The body of a response, wherever it comes from, cut off at the deadline of its call.

use std::{
    error::Error as StdError,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use micro_wire::Error;

use crate::{Node, deadline::Timer, upstream::NodeBody};

/// Why a body broke off: an [`h2::Error`] if a node reset its stream.
pub type BodyError = Box<dyn StdError + Send + Sync>;

/// The body of a response. Nothing of it is read ahead of whoever polls it, and dropping it
/// cancels the call.
#[derive(Default)]
pub struct Body {
    source: Source,
    timer: Option<Timer>,
}

#[derive(Default)]
enum Source {
    #[default]
    Ended,
    Core(tonic::body::Body),
    Node {
        body: NodeBody,
        node: Arc<Node>,
    },
}

impl Body {
    pub(crate) fn core(body: tonic::body::Body) -> Self {
        Self {
            source: Source::Core(body),
            timer: None,
        }
    }

    pub(crate) fn node(body: NodeBody, node: Arc<Node>) -> Self {
        Self {
            source: Source::Node { body, node },
            timer: None,
        }
    }

    /// The same, over when the timer runs out.
    pub(crate) fn until(mut self, timer: Option<Timer>) -> Self {
        if !self.is_end_stream() {
            self.timer = timer;
        }
        self
    }

    /// Ends the body with this error, as trailers.
    fn end_with(&mut self, error: Error) -> Frame<Bytes> {
        *self = Self::default();
        Frame::trailers(error.into_trailers())
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = match &mut self.source {
            Source::Ended => return Poll::Ready(None),
            Source::Core(body) => Pin::new(body).poll_frame(cx).map_err(BodyError::from),
            Source::Node { body, node } => match Pin::new(body).poll_frame(cx) {
                Poll::Ready(Some(Err(error))) if !error.is_reset() => {
                    let lost = lost(node, &error);
                    return Poll::Ready(Some(Ok(self.end_with(lost))));
                }
                frame => frame.map_err(BodyError::from),
            },
        };
        if frame.is_pending()
            && let Some(timer) = &mut self.timer
        {
            ready!(timer.poll(cx));
            let late = crate::deadline::exceeded();
            return Poll::Ready(Some(Ok(self.end_with(late))));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Ended => true,
            Source::Core(body) => body.is_end_stream(),
            Source::Node { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Ended => SizeHint::with_exact(0),
            Source::Core(body) => body.size_hint(),
            Source::Node { body, .. } => body.size_hint(),
        }
    }
}

/// The error of a call whose connection broke: it may or may not have been carried out.
pub(crate) fn lost(node: &Node, error: &h2::Error) -> Error {
    Error::service_unavailable(
        micro_wire::error::CLIENT_ID,
        format!("the connection to node {} broke: {error}", node.address()),
    )
}
