//! `Consume` on the wire: by its proto the client sends one message, and clients that acknowledge
//! send more on the same stream. Generated code reads one and waits for the end of the rest, so
//! this method is served beside it.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use futures::{StreamExt as _, future::BoxFuture};
use http::{Request, Response};
use micro_plugin_api::BoxStream;
use micro_proto::events::Event;
use micro_wire::{Error, frame::MAX_MESSAGE};
use tonic::{
    Status, Streaming,
    body::Body,
    codegen::Service,
    server::{Grpc, NamedService, StreamingService},
};

use super::{
    codec::{ConsumeCodec, Incoming},
    consume::Consumer,
};
use crate::request;

/// A generated server whose method `Consume` listens as long as it talks.
#[derive(Clone)]
pub(super) struct WithAcks<S> {
    server: S,
    consumer: Consumer,
}

impl<S> WithAcks<S> {
    pub(super) fn new(server: S, consumer: Consumer) -> Self {
        Self { server, consumer }
    }
}

impl<S: NamedService> NamedService for WithAcks<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for WithAcks<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + NamedService,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.server.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let method = request.uri().path().strip_prefix('/');
        let method = method.and_then(|path| path.strip_prefix(S::NAME));
        if method != Some("/Consume") {
            return Box::pin(self.server.call(request));
        }
        let consume = Consume(self.consumer.clone());
        Box::pin(async move {
            let grpc = Grpc::new(ConsumeCodec);
            let mut grpc = grpc.max_decoding_message_size(MAX_MESSAGE);
            Ok(grpc.streaming(consume, request).await)
        })
    }
}

struct Consume(Consumer);

impl StreamingService<Incoming> for Consume {
    type Response = Event;
    type ResponseStream = BoxStream<Result<Event, Status>>;
    type Future = BoxFuture<'static, Result<tonic::Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: tonic::Request<Streaming<Incoming>>) -> Self::Future {
        let consumer = self.0.clone();
        Box::pin(async move {
            let (caller, call) = (request::caller(&request), request::call(&request));
            let mut incoming = request.into_inner();
            let Some(Incoming::Consume(first)) = incoming.next().await.transpose()? else {
                let detail = "the first message says what to consume, and there was none";
                return Err(Error::bad_request(consumer.id(), detail).into());
            };
            let events = consumer.consume(&caller, &call, first, incoming).await?;
            Ok(tonic::Response::new(events))
        })
    }
}
