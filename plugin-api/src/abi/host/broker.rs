//! A broker of a library, as the handle calls it.

use std::sync::Arc;

use futures::StreamExt;

use super::link::Link;
use crate::{
    BoxFuture, BoxStream, Call, Result,
    abi::tables::BrokerTable,
    broker::{Delivery, DynBroker, Message},
};

pub(super) struct Client {
    pub(super) link: Arc<Link>,
    pub(super) table: &'static BrokerTable,
}

impl DynBroker for Client {
    fn publish<'a>(
        &'a self,
        call: &'a Call,
        topic: &'a str,
        message: Message,
    ) -> BoxFuture<'a, Result<()>> {
        let link = &*self.link;
        let future =
            (self.table.publish)(link.instance(), call.into(), topic.into(), message.into());
        Box::pin(link.call("broker.publish", call, future))
    }

    fn subscribe<'a>(
        &'a self,
        call: &'a Call,
        topic: &'a str,
        queue: Option<&'a str>,
    ) -> BoxFuture<'a, Result<BoxStream<Result<Delivery>>>> {
        const METHOD: &str = "broker.subscribe";
        let link = &*self.link;
        let queue = queue.map(Into::into).into();
        let future = (self.table.subscribe)(link.instance(), call.into(), topic.into(), queue);
        let answer = link.call(METHOD, call, future);
        Box::pin(async move {
            let deliveries = self.link.stream(METHOD, answer.await?);
            let deliveries = deliveries.map(|delivery| delivery.map(Into::into));
            Ok(Box::pin(deliveries) as BoxStream<Result<Delivery>>)
        })
    }

    fn health<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>> {
        let link = &*self.link;
        let future = (self.table.health)(link.instance(), call.into());
        Box::pin(link.call("broker.health", call, future))
    }

    fn shutdown<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>> {
        let link = &*self.link;
        let future = (self.table.shutdown)(link.instance(), call.into());
        Box::pin(link.call("broker.shutdown", call, future))
    }
}
