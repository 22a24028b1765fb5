//! A stream of a library, as the handle calls it.

use std::sync::Arc;

use futures::StreamExt;

use super::link::Link;
use crate::{
    BoxFuture, BoxStream, Call, Result,
    abi::tables::StreamTable,
    stream::{ConsumeOptions, Delivery, DynStream, Event, HistoryQuery, NewEvent, Settlement},
};

pub(super) struct Client {
    pub(super) link: Arc<Link>,
    pub(super) table: &'static StreamTable,
}

impl DynStream for Client {
    fn publish<'a>(
        &'a self,
        call: &'a Call,
        events: &'a [NewEvent],
    ) -> BoxFuture<'a, Result<Vec<String>>> {
        let link = &*self.link;
        let events = events.iter().map(Into::into).collect();
        let future = (self.table.publish)(link.instance(), call.into(), events);
        let answer = link.call("stream.publish", call, future);
        Box::pin(async move { Ok(answer.await?.into_iter().map(Into::into).collect()) })
    }

    fn consume<'a>(
        &'a self,
        call: &'a Call,
        topic: &'a str,
        options: &'a ConsumeOptions,
    ) -> BoxFuture<'a, Result<BoxStream<Result<Delivery>>>> {
        const METHOD: &str = "stream.consume";
        let link = &*self.link;
        let future =
            (self.table.consume)(link.instance(), call.into(), topic.into(), options.into());
        let answer = link.call(METHOD, call, future);
        Box::pin(async move {
            let deliveries = self.link.stream(METHOD, answer.await?);
            let deliveries = deliveries.map(|delivery| delivery.map(Into::into));
            Ok(Box::pin(deliveries) as BoxStream<Result<Delivery>>)
        })
    }

    fn settle<'a>(
        &'a self,
        call: &'a Call,
        settlements: &'a [Settlement],
    ) -> BoxFuture<'a, Result<()>> {
        let link = &*self.link;
        let settlements = settlements.iter().map(Into::into).collect();
        let future = (self.table.settle)(link.instance(), call.into(), settlements);
        Box::pin(link.call("stream.settle", call, future))
    }

    fn history<'a>(
        &'a self,
        call: &'a Call,
        topic: &'a str,
        query: &'a HistoryQuery,
    ) -> BoxFuture<'a, Result<BoxStream<Result<Event>>>> {
        const METHOD: &str = "stream.history";
        let link = &*self.link;
        let future = (self.table.history)(link.instance(), call.into(), topic.into(), query.into());
        let answer = link.call(METHOD, call, future);
        Box::pin(async move {
            let events = self.link.stream(METHOD, answer.await?);
            let events = events.map(|event| event.map(Into::into));
            Ok(Box::pin(events) as BoxStream<Result<Event>>)
        })
    }

    fn health<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>> {
        let link = &*self.link;
        let future = (self.table.health)(link.instance(), call.into());
        Box::pin(link.call("stream.health", call, future))
    }

    fn shutdown<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>> {
        let link = &*self.link;
        let future = (self.table.shutdown)(link.instance(), call.into());
        Box::pin(link.call("stream.shutdown", call, future))
    }
}
