//! A broker as the host calls it, wherever the implementation lives.

use std::sync::Arc;

use super::{Broker, Delivery, Message};
use crate::{BoxFuture, BoxStream, Call, Result};

/// [`Broker`] behind a pointer: an async trait has no `dyn` of its own.
pub(crate) trait DynBroker: Send + Sync {
    fn publish<'a>(
        &'a self,
        call: &'a Call,
        topic: &'a str,
        message: Message,
    ) -> BoxFuture<'a, Result<()>>;
    fn subscribe<'a>(
        &'a self,
        call: &'a Call,
        topic: &'a str,
        queue: Option<&'a str>,
    ) -> BoxFuture<'a, Result<BoxStream<Result<Delivery>>>>;
    fn health<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>>;
    fn shutdown<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>>;
}

impl<T: Broker> DynBroker for T {
    fn publish<'a>(
        &'a self,
        call: &'a Call,
        topic: &'a str,
        message: Message,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(Broker::publish(self, call, topic, message))
    }
    fn subscribe<'a>(
        &'a self,
        call: &'a Call,
        topic: &'a str,
        queue: Option<&'a str>,
    ) -> BoxFuture<'a, Result<BoxStream<Result<Delivery>>>> {
        Box::pin(Broker::subscribe(self, call, topic, queue))
    }
    fn health<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>> {
        Box::pin(Broker::health(self, call))
    }
    fn shutdown<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>> {
        Box::pin(Broker::shutdown(self, call))
    }
}

/// A broker, in this program or in a loaded library. Clones share it.
#[derive(Clone)]
pub struct BrokerHandle(Arc<dyn DynBroker>);

impl<T: Broker> From<Arc<T>> for BrokerHandle {
    /// The handle of an implementation that is shared, as one value that is several modules is.
    fn from(broker: Arc<T>) -> Self {
        Self(broker)
    }
}

impl BrokerHandle {
    /// The handle of an implementation in this program.
    pub fn new(broker: impl Broker) -> Self {
        Self(Arc::new(broker))
    }

    /// The handle of what only this crate can name: a client of a library.
    pub(crate) fn from_dyn(broker: Arc<dyn DynBroker>) -> Self {
        Self(broker)
    }

    /// See [`Broker::publish`].
    pub async fn publish(&self, call: &Call, topic: &str, message: Message) -> Result<()> {
        self.0.publish(call, topic, message).await
    }

    /// See [`Broker::subscribe`].
    pub async fn subscribe(
        &self,
        call: &Call,
        topic: &str,
        queue: Option<&str>,
    ) -> Result<BoxStream<Result<Delivery>>> {
        self.0.subscribe(call, topic, queue).await
    }

    /// See [`Broker::health`].
    pub async fn health(&self, call: &Call) -> Result<()> {
        self.0.health(call).await
    }

    /// See [`Broker::shutdown`].
    pub async fn shutdown(&self, call: &Call) -> Result<()> {
        self.0.shutdown(call).await
    }
}
