//! The stream as the host calls it, wherever the implementation lives.

use std::sync::Arc;

use super::{ConsumeOptions, Delivery, Event, HistoryQuery, NewEvent, Settlement, Stream, Token};
use crate::{BoxFuture, BoxStream, Call, Result};

/// [`Stream`] behind a pointer: an async trait has no `dyn` of its own.
pub(crate) trait DynStream: Send + Sync {
    fn publish<'a>(
        &'a self,
        call: &'a Call,
        events: &'a [NewEvent],
    ) -> BoxFuture<'a, Result<Vec<String>>>;
    fn consume<'a>(
        &'a self,
        call: &'a Call,
        topic: &'a str,
        options: &'a ConsumeOptions,
    ) -> BoxFuture<'a, Result<BoxStream<Result<Delivery>>>>;
    fn settle<'a>(
        &'a self,
        call: &'a Call,
        settlements: &'a [Settlement],
    ) -> BoxFuture<'a, Result<()>>;
    fn history<'a>(
        &'a self,
        call: &'a Call,
        topic: &'a str,
        query: &'a HistoryQuery,
    ) -> BoxFuture<'a, Result<BoxStream<Result<Event>>>>;
    fn health<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>>;
    fn shutdown<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>>;
}

impl<T: Stream> DynStream for T {
    fn publish<'a>(
        &'a self,
        call: &'a Call,
        events: &'a [NewEvent],
    ) -> BoxFuture<'a, Result<Vec<String>>> {
        Box::pin(Stream::publish(self, call, events))
    }
    fn consume<'a>(
        &'a self,
        call: &'a Call,
        topic: &'a str,
        options: &'a ConsumeOptions,
    ) -> BoxFuture<'a, Result<BoxStream<Result<Delivery>>>> {
        Box::pin(Stream::consume(self, call, topic, options))
    }
    fn settle<'a>(
        &'a self,
        call: &'a Call,
        settlements: &'a [Settlement],
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(Stream::settle(self, call, settlements))
    }
    fn history<'a>(
        &'a self,
        call: &'a Call,
        topic: &'a str,
        query: &'a HistoryQuery,
    ) -> BoxFuture<'a, Result<BoxStream<Result<Event>>>> {
        Box::pin(Stream::history(self, call, topic, query))
    }
    fn health<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>> {
        Box::pin(Stream::health(self, call))
    }
    fn shutdown<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>> {
        Box::pin(Stream::shutdown(self, call))
    }
}

/// A stream, in this program or in a loaded library. Clones share it.
#[derive(Clone)]
pub struct StreamHandle(Arc<dyn DynStream>);

impl<T: Stream> From<Arc<T>> for StreamHandle {
    /// The handle of an implementation that is shared, as one value that is several modules is.
    fn from(stream: Arc<T>) -> Self {
        Self(stream)
    }
}

impl StreamHandle {
    /// The handle of an implementation in this program.
    pub fn new(stream: impl Stream) -> Self {
        Self(Arc::new(stream))
    }

    /// The handle of what only this crate can name: a client of a library.
    pub(crate) fn from_dyn(stream: Arc<dyn DynStream>) -> Self {
        Self(stream)
    }

    /// See [`Stream::publish`].
    pub async fn publish(&self, call: &Call, events: &[NewEvent]) -> Result<Vec<String>> {
        self.0.publish(call, events).await
    }

    /// See [`Stream::consume`].
    pub async fn consume(
        &self,
        call: &Call,
        topic: &str,
        options: &ConsumeOptions,
    ) -> Result<BoxStream<Result<Delivery>>> {
        self.0.consume(call, topic, options).await
    }

    /// See [`Stream::settle`].
    pub async fn settle(&self, call: &Call, settlements: &[Settlement]) -> Result<()> {
        self.0.settle(call, settlements).await
    }

    /// [`Self::settle`] for one delivery that was dealt with.
    pub async fn ack(&self, call: &Call, token: &Token) -> Result<()> {
        self.settle(call, &[Settlement::ack(token.clone())]).await
    }

    /// [`Self::settle`] for one delivery that was not dealt with.
    pub async fn nack(&self, call: &Call, token: &Token) -> Result<()> {
        self.settle(call, &[Settlement::nack(token.clone())]).await
    }

    /// See [`Stream::history`].
    pub async fn history(
        &self,
        call: &Call,
        topic: &str,
        query: &HistoryQuery,
    ) -> Result<BoxStream<Result<Event>>> {
        self.0.history(call, topic, query).await
    }

    /// See [`Stream::health`].
    pub async fn health(&self, call: &Call) -> Result<()> {
        self.0.health(call).await
    }

    /// See [`Stream::shutdown`].
    pub async fn shutdown(&self, call: &Call) -> Result<()> {
        self.0.shutdown(call).await
    }
}
