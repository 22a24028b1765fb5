//! Around every call: its context and deadline, panics that fail that call alone, and what is counted.

use std::{
    any::Any,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context as Task, Poll, ready},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use futures::FutureExt as _;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use micro_proto::debug::{Span, SpanType};
use tonic::{Code, Status, body::Body};

use super::{
    standard::{endpoint, is_standard},
    stats::Stats,
};
use crate::{
    Error,
    body::Deadline,
    context::Context,
    wire::{Handlers, metadata},
};

/// The handlers of a service, guarded.
pub(super) struct Guard {
    name: Arc<str>,
    handlers: Handlers,
    stats: Arc<Stats>,
}

impl Guard {
    pub(super) fn new(name: String) -> Self {
        Self {
            name: name.into(),
            handlers: Handlers::new(),
            stats: Arc::default(),
        }
    }

    pub(super) fn stats(&self) -> Arc<Stats> {
        self.stats.clone()
    }

    pub(super) fn over(self, handlers: Handlers) -> Self {
        Self { handlers, ..self }
    }

    pub(super) async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<tonic::codegen::StdError>,
    {
        let context = Context::of(request.headers());
        let mut record = self.record(&request);
        let at = context.deadline();
        let late = || {
            let detail = format!("{} did not answer before the caller's deadline", self.name);
            Error::timeout(&*self.name, detail)
        };
        let answer = AssertUnwindSafe(self.handlers.answer(request)).catch_unwind();
        let answer = context.clone().scope(answer);
        let answer = match at {
            Some(at) => tokio::time::timeout_at(at, answer)
                .await
                .map_err(|_| late()),
            None => Ok(answer.await),
        };
        let response = match answer {
            Ok(Ok(response)) => response,
            Ok(Err(panic)) => recovered(&self.name, panic.as_ref()).grpc_response(),
            Err(late) => late.grpc_response(),
        };
        record.see(response.headers());
        let (parts, body) = response.into_parts();
        let body = Body::new(Guarded {
            body,
            context,
            name: self.name.clone(),
            record,
            ended: false,
        });
        let body = match at {
            Some(at) => Body::new(Deadline::new(body, at, late())),
            None => body,
        };
        Response::from_parts(parts, body)
    }

    fn record<B>(&self, request: &Request<B>) -> Record {
        let path = request.uri().path();
        if is_standard(path) {
            return Record {
                stats: None,
                failed: false,
                span: None,
                since: Instant::now(),
            };
        }
        let text = |key| {
            let value = request
                .headers()
                .get(key)
                .and_then(|value| value.to_str().ok());
            value.map(str::to_owned)
        };
        let span = text(metadata::TRACE_ID).map(|trace| Span {
            trace,
            id: uuid::Uuid::now_v7().to_string(),
            parent: text(metadata::SPAN_ID).unwrap_or_default(),
            name: match endpoint(self.handlers.services(), path) {
                Some(endpoint) => format!("{}.{endpoint}", self.name),
                None => format!("{}.?", self.name),
            },
            started: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .ok()
                .and_then(|since| u64::try_from(since.as_nanos()).ok())
                .unwrap_or_default(),
            r#type: SpanType::Inbound.into(),
            ..Span::default()
        });
        Record {
            stats: Some(self.stats.clone()),
            failed: false,
            span,
            since: Instant::now(),
        }
    }
}

fn recovered(name: &str, panic: &(dyn Any + Send)) -> Error {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a value that is no text");
    tracing::error!(
        service = name,
        panic = text,
        "a handler panicked; its call failed"
    );
    Error::internal_server_error(name, format!("panic recovered: {text}"))
}

/// One call in the statistics. A call that is dropped was cancelled, and counts.
struct Record {
    stats: Option<Arc<Stats>>,
    failed: bool,
    span: Option<Span>,
    since: Instant,
}

impl Record {
    fn see(&mut self, headers: &HeaderMap) {
        if let Some(status) = headers.get(Status::GRPC_STATUS) {
            self.failed |= Code::from_bytes(status.as_bytes()) != Code::Ok;
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let Some(stats) = self.stats.take() else {
            return;
        };
        stats.count(self.failed);
        if let Some(mut span) = self.span.take() {
            span.duration = u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX);
            stats.remember(span);
        }
    }
}

/// The body of an answer, which a handler's stream may still be writing.
struct Guarded {
    body: Body,
    context: Context,
    name: Arc<str>,
    record: Record,
    ended: bool,
}

impl http_body::Body for Guarded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Task<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if this.ended {
            return Poll::Ready(None);
        }
        let body = &mut this.body;
        let poll = AssertUnwindSafe(|| this.context.sync_scope(|| Pin::new(body).poll_frame(cx)));
        match std::panic::catch_unwind(poll) {
            Ok(poll) => {
                let frame = ready!(poll);
                match &frame {
                    Some(Ok(frame)) => {
                        if let Some(trailers) = frame.trailers_ref() {
                            this.record.see(trailers);
                        }
                    }
                    Some(Err(_)) => this.record.failed = true,
                    None => this.ended = true,
                }
                Poll::Ready(frame)
            }
            Err(panic) => {
                this.ended = true;
                this.record.failed = true;
                let error = recovered(&this.name, panic.as_ref());
                Poll::Ready(Some(Ok(Frame::trailers(error.into_trailers()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.body.is_end_stream()
    }
}
