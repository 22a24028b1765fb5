//! The rpcs of `Stream`, `Store` and `Events`.

use std::sync::Arc;

use futures::{StreamExt as _, stream};
use micro_modules::Modules;
use micro_plugin_api::{
    BoxStream,
    stream::{HistoryQuery, NewEvent},
};
use micro_proto::events::{
    ConsumeRequest, Event, PublishBatchRequest, PublishBatchResponse, PublishRequest,
    PublishResponse, ReadRequest, ReadResponse, WriteRequest, WriteResponse, events_server::Events,
    store_server::Store, stream_server::Stream,
};
use micro_wire::{Error, frame::MAX_MESSAGE};
use prost::Message as _;
use tonic::{Request, Response, Status};

use super::{
    consume::Consumer,
    convert::{event, new_event, topic_of},
};
use crate::{error, request};

/// How many events are read where nobody says.
const DEFAULT_LIMIT: u64 = 250;

/// How much of a response events may fill, in bytes: the largest message, less room for what stands
/// around them.
const MAX_ANSWER: usize = MAX_MESSAGE - (64 << 10);

/// The events of every namespace.
pub(super) struct EventsService {
    modules: Arc<Modules>,
}

impl EventsService {
    pub(super) fn new(modules: Arc<Modules>) -> Self {
        Self { modules }
    }

    /// Publishes events in the caller's namespace and gives their ids.
    async fn publish_all<T>(
        &self,
        id: &'static str,
        request: Request<T>,
        events: impl FnOnce(T) -> Vec<PublishRequest>,
    ) -> Result<Vec<String>, Status> {
        let (caller, call) = (request::caller(&request), request::call(&request));
        let namespace = caller.namespace.as_str();
        caller.authorize_admin(id, namespace)?;
        let events = events(request.into_inner());
        if events.is_empty() {
            return Err(Error::bad_request(id, "no event specified").into());
        }
        if events.iter().any(|event| event.topic.is_empty()) {
            return Err(Error::bad_request(id, "Missing topic").into());
        }
        let events: Vec<NewEvent> = events
            .into_iter()
            .map(|event| new_event(namespace, event))
            .collect();
        let published = self.modules.stream().publish(&call, &events).await;
        published.map_err(error::module(id))
    }

    async fn publish_one(
        &self,
        id: &'static str,
        request: Request<PublishRequest>,
    ) -> Result<Response<PublishResponse>, Status> {
        let ids = self.publish_all(id, request, |event| vec![event]).await?;
        let id = ids.into_iter().next().unwrap_or_default();
        Ok(Response::new(PublishResponse { id }))
    }

    async fn history(
        &self,
        id: &'static str,
        request: Request<ReadRequest>,
    ) -> Result<Response<ReadResponse>, Status> {
        let (caller, call) = (request::caller(&request), request::call(&request));
        let namespace = caller.namespace.as_str();
        caller.authorize_admin(id, namespace)?;
        let request = request.into_inner();
        if request.topic.is_empty() {
            return Err(Error::bad_request(id, "Missing topic").into());
        }
        let topic = topic_of(namespace, &request.topic);
        let query = HistoryQuery {
            from: 0,
            offset: request.offset,
            limit: match request.limit {
                0 => DEFAULT_LIMIT,
                limit => limit,
            },
        };
        let read = self.modules.stream().history(&call, &topic, &query).await;
        let mut read = read.map_err(error::module(id))?;
        let (mut events, mut bytes) = (Vec::new(), 0);
        while let Some(next) = read.next().await {
            let next = event(namespace, next.map_err(error::module(id))?, 0);
            // A tag and a length of at most five bytes each stand before an event.
            bytes += next.encoded_len() + 10;
            if bytes > MAX_ANSWER {
                let detail = "these events do not fit into one answer of 16 MiB; read them in parts, with limit and offset";
                return Err(Error::bad_request(id, detail).into());
            }
            events.push(next);
        }
        Ok(Response::new(ReadResponse { events }))
    }

    /// [`Consumer::consume`] for a request without anything behind it.
    async fn consume_only(
        &self,
        consumer: Consumer,
        request: Request<ConsumeRequest>,
    ) -> Result<Response<BoxStream<Result<Event, Status>>>, Status> {
        let (caller, call) = (request::caller(&request), request::call(&request));
        let events = consumer
            .consume(&caller, &call, request.into_inner(), stream::empty())
            .await?;
        Ok(Response::new(events))
    }
}

#[tonic::async_trait]
impl Stream for EventsService {
    type ConsumeStream = BoxStream<Result<Event, Status>>;

    async fn publish(
        &self,
        request: Request<PublishRequest>,
    ) -> Result<Response<PublishResponse>, Status> {
        self.publish_one("events.Stream.Publish", request).await
    }

    async fn consume(
        &self,
        request: Request<ConsumeRequest>,
    ) -> Result<Response<Self::ConsumeStream>, Status> {
        let consumer = Consumer::new(self.modules.clone(), "events.Stream.Consume");
        self.consume_only(consumer, request).await
    }

    async fn publish_batch(
        &self,
        request: Request<PublishBatchRequest>,
    ) -> Result<Response<PublishBatchResponse>, Status> {
        let id = "events.Stream.PublishBatch";
        let ids = self.publish_all(id, request, |batch| batch.events).await?;
        Ok(Response::new(PublishBatchResponse { ids }))
    }
}

#[tonic::async_trait]
impl Store for EventsService {
    async fn read(&self, request: Request<ReadRequest>) -> Result<Response<ReadResponse>, Status> {
        self.history("events.Store.Read", request).await
    }

    async fn write(
        &self,
        request: Request<WriteRequest>,
    ) -> Result<Response<WriteResponse>, Status> {
        let id = "events.Store.Write";
        let caller = request::caller(&request);
        caller.authorize_admin(id, &caller.namespace)?;
        let detail = "Writing to the store directly is not supported";
        Err(Error::not_implemented(id, detail).into())
    }
}

#[tonic::async_trait]
impl Events for EventsService {
    type ConsumeStream = BoxStream<Result<Event, Status>>;

    async fn publish(
        &self,
        request: Request<PublishRequest>,
    ) -> Result<Response<PublishResponse>, Status> {
        self.publish_one("events.Events.Publish", request).await
    }

    async fn consume(
        &self,
        request: Request<ConsumeRequest>,
    ) -> Result<Response<Self::ConsumeStream>, Status> {
        let consumer = Consumer::new(self.modules.clone(), "events.Events.Consume");
        self.consume_only(consumer.for_terminals(), request).await
    }

    async fn read(&self, request: Request<ReadRequest>) -> Result<Response<ReadResponse>, Status> {
        self.history("events.Events.Read", request).await
    }
}
