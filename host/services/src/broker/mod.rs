//! The core service `broker`: messages by topic to whoever subscribes at the time.

mod header;
mod topic;

use std::sync::Arc;

use futures::StreamExt as _;
use http::HeaderMap;
use micro_modules::Modules;
use micro_plugin_api::{
    BoxStream, Call,
    broker::{Delivery, Message as ModuleMessage},
};
use micro_proto::broker::{
    Empty, Message, PublishRequest, PublishStreamResponse, SubscribeRequest,
    broker_server::{Broker, BrokerServer},
};
use micro_wire::{Error, Handlers, frame::MAX_MESSAGE, json::MethodsError};
use tonic::{Request, Response, Status, Streaming};

use crate::{Platform, error, request};

pub(crate) use self::topic::in_namespace;

/// The handler `Broker`.
pub(crate) fn handlers(platform: &Platform) -> Result<Handlers, MethodsError> {
    let broker = BrokerServer::new(BrokerService {
        modules: platform.modules.clone(),
    });
    Handlers::new().add(
        broker.max_decoding_message_size(MAX_MESSAGE),
        micro_proto::descriptor_pool(),
    )
}

/// The topics of every namespace.
struct BrokerService {
    modules: Arc<Modules>,
}

/// One call that publishes: in which namespace, and what its caller sent along.
struct Publisher {
    id: &'static str,
    call: Call,
    namespace: String,
    metadata: HeaderMap,
}

impl Publisher {
    fn of<T>(id: &'static str, request: &Request<T>) -> Result<Self, Error> {
        Ok(Self {
            id,
            call: request::call(request),
            namespace: topic::namespace(id, &request::caller(request))?,
            metadata: request.metadata().as_ref().clone(),
        })
    }
}

impl BrokerService {
    async fn publish(&self, publisher: &Publisher, request: PublishRequest) -> Result<(), Error> {
        let id = publisher.id;
        let Some(mut message) = request.message else {
            return Err(Error::bad_request(id, "Missing message"));
        };
        let topic = topic::full(id, &publisher.namespace, &request.topic)?;
        header::add(&mut message.header, &publisher.metadata);
        let message = ModuleMessage {
            header: message.header.into_iter().collect(),
            body: message.body,
        };
        let published = self
            .modules
            .broker()
            .publish(&publisher.call, &topic, message)
            .await;
        published.map_err(|error| error::from_module(id, &error))
    }
}

#[tonic::async_trait]
impl Broker for BrokerService {
    type SubscribeStream = BoxStream<Result<Message, Status>>;

    async fn publish(&self, request: Request<PublishRequest>) -> Result<Response<Empty>, Status> {
        let publisher = Publisher::of("broker.Broker.Publish", &request)?;
        self.publish(&publisher, request.into_inner()).await?;
        Ok(Response::new(Empty {}))
    }

    async fn publish_stream(
        &self,
        request: Request<Streaming<PublishRequest>>,
    ) -> Result<Response<PublishStreamResponse>, Status> {
        let publisher = Publisher::of("broker.Broker.PublishStream", &request)?;
        let mut requests = request.into_inner();
        let mut published = 0;
        while let Some(request) = requests.message().await? {
            self.publish(&publisher, request).await.map_err(|error| {
                let detail = format!("message {}: {}", published + 1, error.detail);
                Error::new(error.id, error.code, detail)
            })?;
            published += 1;
        }
        Ok(Response::new(PublishStreamResponse { published }))
    }

    async fn subscribe(
        &self,
        request: Request<SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let id = "broker.Broker.Subscribe";
        let namespace = topic::namespace(id, &request::caller(&request))?;
        let call = request::call(&request);
        let SubscribeRequest { topic, queue } = request.into_inner();
        let topic = topic::full(id, &namespace, &topic)?;
        let queue = (!queue.is_empty()).then_some(queue);
        let subscribed = self
            .modules
            .broker()
            .subscribe(&call, &topic, queue.as_deref())
            .await;
        let deliveries = subscribed.map_err(error::module(id))?;
        let messages = deliveries.map(move |delivery| match delivery {
            Ok(delivery) => Ok(to_proto(delivery)),
            Err(error) => Err(error::from_module(id, &error).into()),
        });
        Ok(Response::new(messages.boxed()))
    }
}

fn to_proto(delivery: Delivery) -> Message {
    let Delivery { message, lost } = delivery;
    Message {
        header: message.header.into_iter().collect(),
        body: message.body,
        lost,
    }
}
