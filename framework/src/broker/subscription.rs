//! A subscription that comes back by itself when the connection is lost.

use std::time::Duration;

use futures::Stream;
use micro_proto::broker::{self as proto, SubscribeRequest};
use tonic::Streaming;

use super::{Broker, Message};
use crate::{Context, Error, client::chance};

/// The first and the longest pause between attempts to subscribe again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// What is subscribed to.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) topic: String,
    queue: String,
}

impl Target {
    pub(crate) fn new(topic: impl Into<String>, queue: Option<String>) -> Self {
        Self {
            topic: topic.into(),
            queue: queue.unwrap_or_default(),
        }
    }
}

/// The messages of a topic. Dropped, it ends.
///
/// When the connection or the server goes it subscribes again, after a pause that grows to five
/// seconds, for as long as it takes. What is published meanwhile is lost: a message is delivered at
/// most once.
#[derive(Debug)]
pub struct Subscription {
    broker: Broker,
    target: Target,
    messages: Option<Streaming<proto::Message>>,
    pause: Duration,
}

impl Subscription {
    pub(super) async fn open(broker: Broker, target: Target) -> Result<Self, Error> {
        let mut subscription = Self::lost(broker, target);
        subscription.connect().await?;
        Ok(subscription)
    }

    /// One that subscribes when it is first read.
    pub(crate) fn lost(broker: Broker, target: Target) -> Self {
        Self {
            broker,
            target,
            messages: None,
            pause: PAUSES.0,
        }
    }

    async fn connect(&mut self) -> Result<(), Error> {
        let request = SubscribeRequest {
            topic: self.target.topic.clone(),
            queue: self.target.queue.clone(),
        };
        let mut client = self.broker.client();
        // It outlives the call that is being handled, whose deadline does not concern it.
        let subscribe = Context::default().scope(async move { client.subscribe(request).await });
        self.messages = Some(subscribe.await?.into_inner());
        Ok(())
    }

    /// The next message. May be dropped and called again without losing one.
    pub async fn next(&mut self) -> Message {
        loop {
            let lost = match &mut self.messages {
                Some(messages) => match messages.message().await {
                    Ok(Some(message)) => {
                        self.pause = PAUSES.0;
                        return received(message);
                    }
                    Ok(None) => Error::service_unavailable("", "the broker ended it"),
                    Err(status) => Error::from(status),
                },
                None => match self.connect().await {
                    Ok(()) => continue,
                    Err(error) => error,
                },
            };
            let topic = self.target.topic.as_str();
            if self.messages.take().is_some() {
                tracing::warn!(topic, error = %lost, "the subscription was lost; subscribing again");
            } else {
                tracing::debug!(topic, error = %lost, "cannot subscribe; trying until it works");
            }
            let pause = self.pause;
            self.pause = (pause * 2).min(PAUSES.1);
            tokio::time::sleep(pause.mul_f64(0.5 + chance() / 2.0)).await;
        }
    }

    /// The messages as a stream, which does not end.
    pub fn into_stream(self) -> impl Stream<Item = Message> + Send {
        futures::stream::unfold(self, |mut subscription| async {
            let message = subscription.next().await;
            Some((message, subscription))
        })
    }
}

fn received(message: proto::Message) -> Message {
    Message {
        header: message.header.into_iter().collect(),
        body: message.body,
        lost: message.lost,
    }
}
