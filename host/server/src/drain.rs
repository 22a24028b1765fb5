//! Ends the streams of the core services when the server stops, so that nobody waits for what would
//! go on for ever: a watch, a subscription, followed logs.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use micro_route::Core;
use micro_wire::{Error, error::CLIENT_ID};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::Status;

const STOPPING: &str = "the server is stopping: begin again when it, or another one, is there";

/// The core services, until the server stops.
pub(crate) struct Draining {
    core: Arc<dyn Core>,
    drain: CancellationToken,
}

impl Draining {
    /// `core`, whose answers end when `drain` is cancelled and nothing of them is left to send.
    pub(crate) fn new(core: Arc<dyn Core>, drain: CancellationToken) -> Self {
        Self { core, drain }
    }
}

impl Core for Draining {
    fn serves(&self, service: &str) -> bool {
        self.core.serves(service)
    }

    fn call(
        &self,
        request: Request<tonic::body::Body>,
    ) -> BoxFuture<'static, Response<tonic::body::Body>> {
        let answer = self.core.call(request);
        let drain = self.drain.clone();
        Box::pin(async move {
            answer.await.map(|body| {
                tonic::body::Body::new(Drained {
                    body,
                    drain,
                    drained: None,
                    ended: false,
                })
            })
        })
    }
}

/// The body of an answer that ends when the server stops.
struct Drained {
    body: tonic::body::Body,
    drain: CancellationToken,
    /// Once there is something to wait for: most answers are whole.
    drained: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    ended: bool,
}

impl Body for Drained {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        // What is there is sent first: an answer that is whole is not cut off.
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        let drain = &this.drain;
        let drained = || Box::pin(drain.clone().cancelled_owned());
        ready!(this.drained.get_or_insert_with(drained).as_mut().poll(cx));
        this.ended = true;
        this.body = tonic::body::Body::empty();
        let stopping = Error::service_unavailable(CLIENT_ID, STOPPING);
        Poll::Ready(Some(Ok(Frame::trailers(stopping.into_trailers()))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};

    use futures::stream;
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;

    /// Answers with one message, and then says nothing for ever.
    struct Endless;

    impl Core for Endless {
        fn serves(&self, _: &str) -> bool {
            true
        }

        fn call(
            &self,
            _: Request<tonic::body::Body>,
        ) -> BoxFuture<'static, Response<tonic::body::Body>> {
            let first = stream::iter([Ok::<_, Status>(Frame::data(Bytes::from_static(b"one")))]);
            let frames = futures::StreamExt::chain(first, stream::once(pending()));
            let body = tonic::body::Body::new(StreamBody::new(frames));
            Box::pin(async { Response::new(body) })
        }
    }

    #[tokio::test]
    async fn a_stream_ends_with_a_word_when_the_server_stops() {
        let drain = CancellationToken::new();
        let core = Draining::new(Arc::new(Endless), drain.clone());
        let mut body = core.call(Request::default()).await.into_body();
        drain.cancel();
        let first = body.frame().await.unwrap().unwrap();
        assert_eq!(
            first.into_data().unwrap(),
            "one",
            "what is there comes first"
        );
        let last = body
            .frame()
            .await
            .unwrap()
            .unwrap()
            .into_trailers()
            .unwrap();
        let status = Status::from_header_map(&last).unwrap();
        assert_eq!(status.code(), tonic::Code::Unavailable);
        let error = Error::from_status(&status);
        assert_eq!((error.code, error.detail.as_str()), (503, STOPPING));
        assert!(body.frame().await.is_none());
    }

    #[tokio::test]
    async fn until_then_it_waits() {
        let core = Draining::new(Arc::new(Endless), CancellationToken::new());
        let mut body = core.call(Request::default()).await.into_body();
        assert!(body.frame().await.is_some());
        let waits = poll_fn(|cx| Poll::Ready(Pin::new(&mut body).poll_frame(cx).is_pending()));
        assert!(waits.await);
    }
}
