//! What stands around every call of a core service: a panic fails that call and no other, its
//! deadline is kept, and it is counted.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::FutureExt as _;
use http::{HeaderMap, Request, Response};
use http_body::{Frame, SizeHint};
use micro_wire::{Error, error::CLIENT_ID, metadata};
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};
use tonic::{Status, body::Body};

use crate::{core::Service, debug::Counters};

const GRPC_STATUS: &str = "grpc-status";

/// Has `service` answer the call.
pub(crate) async fn answer(service: Arc<Service>, request: Request<Body>) -> Response<Body> {
    let deadline = metadata::timeout(request.headers()).and_then(after);
    service.counters.count_request();
    // What a panic leaves behind in a handler is shared only through locks and atomics, whose
    // users expect it.
    let answer = AssertUnwindSafe(service.handlers.answer(request)).catch_unwind();
    let answer = match deadline {
        Some(deadline) => timeout_at(deadline, answer).await.ok(),
        None => Some(answer.await),
    };
    let response = match answer {
        Some(Ok(response)) => response,
        Some(Err(panic)) => panicked(service.name, &*panic).grpc_response(),
        None => too_late().grpc_response(),
    };
    if let Some(status) = response.headers().get(GRPC_STATUS) {
        service.counters.count_error(status != "0");
        return response;
    }
    response.map(|body| {
        Body::new(Guarded {
            body,
            service: service.name,
            counters: service.counters.clone(),
            deadline: deadline.map(|deadline| Box::pin(sleep_until(deadline))),
            ended: false,
        })
    })
}

fn after(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}

fn too_late() -> Error {
    Error::timeout(CLIENT_ID, "context deadline exceeded")
}

fn panicked(service: &str, panic: &(dyn Any + Send)) -> Error {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    tracing::error!(service, "a handler panicked: {text}");
    Error::internal_server_error(service, format!("panic recovered: {text}"))
}

/// The body of a response, watched until its trailers.
struct Guarded {
    body: Body,
    service: &'static str,
    counters: Arc<Counters>,
    deadline: Option<Pin<Box<Sleep>>>,
    ended: bool,
}

impl Guarded {
    /// Ends the stream with an error instead of what would have come.
    fn fail(&mut self, error: Error) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.ended = true;
        self.body = Body::empty();
        self.counters.count_error(true);
        let mut trailers = HeaderMap::new();
        Poll::Ready(Some(
            Status::from(error)
                .add_header(&mut trailers)
                .map(|()| Frame::trailers(trailers)),
        ))
    }
}

impl http_body::Body for Guarded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(context).is_ready()
        {
            return self.fail(too_late());
        }
        let this = &mut *self;
        let polled = catch_unwind(AssertUnwindSafe(|| {
            Pin::new(&mut this.body).poll_frame(context)
        }));
        match polled {
            Ok(Poll::Ready(Some(Ok(frame)))) => {
                if let Some(trailers) = frame.trailers_ref() {
                    self.ended = true;
                    let status = trailers.get(GRPC_STATUS);
                    self.counters
                        .count_error(status.is_some_and(|status| status != "0"));
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Ok(Poll::Ready(Some(Err(status)))) => {
                self.counters.count_error(true);
                Poll::Ready(Some(Err(status)))
            }
            Ok(other) => other,
            Err(panic) => {
                let error = panicked(self.service, &*panic);
                self.fail(error)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
