//! The zoo's messages: what waits for who does not read is bounded, unless that is what there is too much
//! of.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use futures::stream;
use micro_plugin_api::{broker::Delivery, prelude::*};
use tokio::sync::mpsc;

use crate::{Zoo, excess::Excess};

/// Who is subscribed, by topic.
#[derive(Default)]
pub(crate) struct Post {
    topics: Mutex<HashMap<String, Vec<Letterbox>>>,
}

/// Where the messages of one subscriber wait.
enum Letterbox {
    Bounded(MailboxSender),
    /// However many there are.
    Endless(mpsc::UnboundedSender<Result<Delivery>>),
}

impl Letterbox {
    /// Whether there is still somebody who may read it.
    fn put(&self, message: &Arc<Message>) -> bool {
        match self {
            Self::Bounded(sender) => sender.send(message),
            Self::Endless(sender) => sender
                .send(Ok(Delivery {
                    message: Message::clone(message),
                    lost: 0,
                }))
                .is_ok(),
        }
    }
}

impl Post {
    fn add(&self, topic: &str, sender: Letterbox) {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        topics.entry(topic.to_owned()).or_default().push(sender);
    }

    fn send(&self, topic: &str, message: Message) {
        let message = Arc::new(message);
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(senders) = topics.get_mut(topic) {
            senders.retain(|sender| sender.put(&message));
        }
    }
}

impl Broker for Zoo {
    async fn publish(&self, _: &Call, topic: &str, message: Message) -> Result<()> {
        self.act(topic).await?;
        self.post.send(topic, message);
        Ok(())
    }

    async fn subscribe(
        &self,
        _: &Call,
        topic: &str,
        _: Option<&str>,
    ) -> Result<BoxStream<Result<Delivery>>> {
        self.act(topic).await?;
        if self.excess.floods() {
            let excess = self.excess;
            return Ok(Box::pin(stream::iter(0..).map(move |at| {
                let message = Message::new(excess.item(at));
                Ok(Delivery { message, lost: 0 })
            })));
        }
        if self.excess == Excess::Backlog {
            let (sender, mut receiver) = mpsc::unbounded_channel();
            self.post.add(topic, Letterbox::Endless(sender));
            return Ok(Box::pin(stream::poll_fn(move |context| {
                receiver.poll_recv(context)
            })));
        }
        let (sender, mailbox) = Mailbox::new(topic, &Losses::new());
        self.post.add(topic, Letterbox::Bounded(sender));
        Ok(Box::pin(mailbox))
    }
}
