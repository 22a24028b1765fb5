//! The broker: messages by topic to whoever subscribes at the time, at most once each.
//!
//! ```no_run
#![doc = include_str!("../../examples/broker.rs")]
//! ```
//!
//! A service names what it subscribes to when it is built: [`Service::subscribe`](crate::Service::subscribe).

mod message;
mod subscription;

use futures::{Stream, StreamExt as _};
use micro_proto::broker as proto;
use proto::{PublishRequest, broker_client::BrokerClient};
use tonic::Request;

pub use message::{FromMessage, Json, Message, Proto, Types};
pub use subscription::Subscription;
pub(crate) use subscription::Target;

use crate::{Client, Error, ServiceChannel, client::unary};

impl Client {
    /// The broker of the platform, used on this client's own account: its topics are those of the
    /// client's namespace.
    #[must_use]
    pub fn broker(&self) -> Broker {
        // Tried again, a message might come twice.
        let channel = self.core("broker").with(|options| options.retries(0));
        Broker { channel }
    }
}

/// The topics of the namespace.
#[derive(Clone, Debug)]
pub struct Broker {
    channel: ServiceChannel,
}

impl Broker {
    fn client(&self) -> BrokerClient<ServiceChannel> {
        BrokerClient::new(self.channel.clone()).max_decoding_message_size(crate::MAX_MESSAGE)
    }

    /// Hands a message to those who subscribe to the topic just now. It is no error that nobody
    /// does. The metadata of the call being handled is in the message's header as well, where the
    /// header does not say otherwise.
    ///
    /// # Errors
    /// What the broker answered: 400 for a topic that is blank or longer than 383 bytes, and for a
    /// message of more than 1,000,000 bytes.
    pub async fn publish(&self, topic: impl Into<String>, message: Message) -> Result<(), Error> {
        let request = request(topic.into(), message);
        self.client().publish(unary(Request::new(request))).await?;
        Ok(())
    }

    /// Publishes topics and messages as the stream gives them, over one call: far faster than one
    /// call each. How many it was.
    ///
    /// # Errors
    /// What the broker answered; the messages before the one that it names were published.
    pub async fn publish_all(
        &self,
        messages: impl Stream<Item = (String, Message)> + Send + 'static,
    ) -> Result<u64, Error> {
        let requests = messages.map(|(topic, message)| request(topic, message));
        let answer = self.client().publish_stream(requests).await?;
        Ok(answer.into_inner().published)
    }

    /// The messages of a topic from now on.
    ///
    /// # Errors
    /// What the broker answered to the first attempt; later ones are made until one succeeds.
    pub async fn subscribe(&self, topic: impl Into<String>) -> Result<Subscription, Error> {
        self.open(Target::new(topic, None)).await
    }

    /// The share of the messages of a topic: each goes to one of those who name the same queue.
    ///
    /// # Errors
    /// As [`Broker::subscribe`].
    pub async fn subscribe_queue(
        &self,
        topic: impl Into<String>,
        queue: impl Into<String>,
    ) -> Result<Subscription, Error> {
        self.open(Target::new(topic, Some(queue.into()))).await
    }

    pub(crate) async fn open(&self, target: Target) -> Result<Subscription, Error> {
        Subscription::open(self.clone(), target).await
    }
}

/// As Go's framework marks its messages, and Go services expect it.
const TOPIC: &str = "Micro-Topic";

fn request(topic: String, message: Message) -> PublishRequest {
    let Message {
        mut header, body, ..
    } = message;
    header
        .entry(TOPIC.to_owned())
        .or_insert_with(|| topic.clone());
    PublishRequest {
        topic,
        message: Some(proto::Message {
            header: header.into_iter().collect(),
            body,
            lost: 0,
        }),
    }
}
