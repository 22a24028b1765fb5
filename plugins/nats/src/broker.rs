//! The broker on core NATS: topics are subjects, queues are queue groups.
//!
//! At most once, as core NATS is: what is published while a subscriber's server has no connection
//! passes it by. A publish is answered when NATS has taken the message, and fails if it has not.

mod header;

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use async_nats::Subscriber;
use futures::{Stream, StreamExt as _};
use micro_plugin_api::{
    BoxStream, Broker, Call, Error, Host, Result,
    broker::{Delivery, Losses, Mailbox, MailboxSender, Message, check_queue, check_topic},
};
use tokio::{sync::watch, task::JoinHandle};

use crate::{Settings, connection::Connection, connection::closed, subject::token};

/// Messages through a NATS server.
pub struct NatsBroker {
    connection: Arc<Connection>,
    prefix: String,
    losses: Arc<Losses>,
    /// Turns true when the module shuts down.
    ended: watch::Sender<bool>,
}

impl NatsBroker {
    /// Opens the broker. NATS need not be there yet.
    ///
    /// # Errors
    /// `invalid` for settings that make no sense.
    pub async fn open(settings: Settings, _host: Host) -> Result<Self> {
        Ok(Self {
            connection: Connection::open(&settings, "broker").await?,
            prefix: settings.prefix,
            losses: Losses::new(),
            ended: watch::Sender::new(false),
        })
    }

    fn subject(&self, topic: &str) -> String {
        format!("{}.broker.{}", self.prefix, token(topic))
    }
}

impl Broker for NatsBroker {
    async fn publish(&self, call: &Call, topic: &str, message: Message) -> Result<()> {
        check_topic(topic)?;
        message.check()?;
        let deadline = self.connection.deadline(call);
        self.connection.ready(deadline).await?;
        let (client, headers) = (self.connection.client(), header::encode(&message.header));
        let published = client.publish_with_headers(self.subject(topic), headers, message.body);
        match tokio::time::timeout_at(deadline.at(), published).await {
            Err(_) => return Err(self.connection.silent()),
            Ok(Err(error)) => return Err(refused(&error, client.max_payload())),
            Ok(Ok(())) => {}
        }
        self.connection.confirm(deadline).await
    }

    async fn subscribe(
        &self,
        call: &Call,
        topic: &str,
        queue: Option<&str>,
    ) -> Result<BoxStream<Result<Delivery>>> {
        check_topic(topic)?;
        check_queue(queue)?;
        let deadline = self.connection.deadline(call);
        self.connection.ready(deadline).await?;
        let (client, subject) = (self.connection.client(), self.subject(topic));
        let subscribe = async {
            match queue {
                None => client.subscribe(subject).await,
                Some(queue) => client.queue_subscribe(subject, token(queue)).await,
            }
        };
        let subscriber = tokio::time::timeout_at(deadline.at(), subscribe).await;
        let subscriber = subscriber
            .map_err(|_| self.connection.silent())?
            .map_err(closed)?;
        // From here on messages come; when the server has confirmed it, the caller may know.
        let (sender, mailbox) = Mailbox::new(topic, &self.losses);
        let task = tokio::spawn(forward(subscriber, sender, self.ended.subscribe()));
        let subscription = Subscription { mailbox, task };
        self.connection.confirm(deadline).await?;
        Ok(Box::pin(subscription))
    }

    async fn health(&self, call: &Call) -> Result<()> {
        let deadline = self.connection.deadline(call);
        self.connection.healthy(deadline).await?;
        self.connection.confirm(deadline).await
    }

    async fn shutdown(&self, _call: &Call) -> Result<()> {
        self.ended.send_replace(true);
        Ok(())
    }
}

/// Why the client did not even send a message of at most `room` bytes.
fn refused(error: &async_nats::PublishError, room: usize) -> Error {
    match error.kind() {
        async_nats::client::PublishErrorKind::MaxPayloadExceeded => Error::invalid(format!(
            "the message is larger, with its header, than the {room} bytes that this NATS server \
             takes; raise `max_payload` in its configuration"
        )),
        _ => closed(error),
    }
}

/// Hands over what comes, so that nothing waits where losses are not counted.
async fn forward(
    mut subscriber: Subscriber,
    sender: MailboxSender,
    mut ended: watch::Receiver<bool>,
) {
    let end = loop {
        tokio::select! {
            message = subscriber.next() => match message {
                Some(message) => {
                    let header = message.headers.as_ref().map(header::decode);
                    let message = Message { header: header.unwrap_or_default(), body: message.payload };
                    if !sender.send(&Arc::new(message)) {
                        return;
                    }
                }
                None => break closed(()),
            },
            _ = ended.wait_for(|ended| *ended) => {
                break Error::unavailable("the broker was closed; subscribe again");
            }
        }
    };
    sender.end(end);
}

/// What a subscriber reads. Dropping it ends the subscription.
struct Subscription {
    mailbox: Mailbox,
    task: JoinHandle<()>,
}

impl Stream for Subscription {
    type Item = Result<Delivery>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.mailbox).poll_next(context)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.task.abort();
    }
}
