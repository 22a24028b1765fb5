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
use http::{Request, Response};
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
        Poll::Ready(Some(Ok(Frame::trailers(error.into_trailers()))))
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

#[cfg(test)]
mod tests {
    use micro_proto::debug::{
        HealthRequest, HealthResponse, LogRequest, LogResponse, StatsRequest, StatsResponse,
        TraceRequest, TraceResponse,
        debug_server::{Debug, DebugServer},
    };
    use micro_wire::Handlers;

    use super::*;

    struct Bad;

    #[tonic::async_trait]
    impl Debug for Bad {
        async fn health(
            &self,
            _: tonic::Request<HealthRequest>,
        ) -> Result<tonic::Response<HealthResponse>, Status> {
            panic!("boom {}", 1);
        }
        async fn stats(
            &self,
            _: tonic::Request<StatsRequest>,
        ) -> Result<tonic::Response<StatsResponse>, Status> {
            std::future::pending().await
        }
        async fn log(
            &self,
            _: tonic::Request<LogRequest>,
        ) -> Result<tonic::Response<LogResponse>, Status> {
            Ok(tonic::Response::new(LogResponse::default()))
        }
        async fn trace(
            &self,
            _: tonic::Request<TraceRequest>,
        ) -> Result<tonic::Response<TraceResponse>, Status> {
            Err(Status::not_found("no such trace"))
        }
    }

    fn service() -> Arc<Service> {
        let handlers = Handlers::new()
            .add(DebugServer::new(Bad), micro_proto::descriptor_pool())
            .unwrap();
        Arc::new(Service::for_tests("bad", handlers))
    }

    async fn call(service: &Arc<Service>, method: &str, timeout: &str) -> Response<Body> {
        let request = Request::post(format!("http://core/bad.Debug/{method}"))
            .header("content-type", "application/grpc")
            .header("grpc-timeout", timeout)
            .body(Body::new(http_body_util::Full::from(Bytes::from_static(
                &[0; 5],
            ))))
            .unwrap();
        answer(service.clone(), request).await
    }

    fn error(response: &Response<Body>) -> Error {
        Error::from_status(&Status::from_header_map(response.headers()).unwrap())
    }

    #[tokio::test]
    async fn a_panic_fails_one_call() {
        let service = service();
        assert_eq!(
            error(&call(&service, "Health", "10S").await),
            Error::internal_server_error("bad", "panic recovered: boom 1")
        );
        assert!(
            call(&service, "Log", "10S")
                .await
                .headers()
                .get(GRPC_STATUS)
                .is_none()
        );
    }

    #[tokio::test]
    async fn a_deadline_is_kept() {
        assert_eq!(
            error(&call(&service(), "Stats", "20m").await),
            Error::timeout("go.micro.client", "context deadline exceeded")
        );
    }

    /// What a body of messages without an end, or with a panic in it, comes to.
    async fn ended_by(body: Body, deadline: Option<Duration>) -> (Error, Arc<Counters>) {
        let counters = Arc::new(Counters::default());
        let guarded = Guarded {
            body,
            service: "bad",
            counters: counters.clone(),
            deadline: deadline
                .and_then(after)
                .map(|deadline| Box::pin(sleep_until(deadline))),
            ended: false,
        };
        let end = http_body_util::BodyExt::collect(guarded).await.unwrap();
        let status = Status::from_header_map(end.trailers().unwrap()).unwrap();
        (Error::from_status(&status), counters)
    }

    #[tokio::test]
    async fn streams_are_guarded_to_their_end() {
        use futures::stream;
        use http_body_util::StreamBody;

        let endless = stream::pending::<Result<Frame<Bytes>, Status>>();
        let late = ended_by(
            Body::new(StreamBody::new(endless)),
            Some(Duration::from_millis(20)),
        );
        let (error, counters) = late.await;
        assert_eq!((error.code, counters.read()), (408, (0, 1)));

        let panics = stream::poll_fn(|_| -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            panic!("in a stream")
        });
        let (error, counters) = ended_by(Body::new(StreamBody::new(panics)), None).await;
        assert_eq!(error.detail, "panic recovered: in a stream");
        assert_eq!(counters.read(), (0, 1));
    }
}
