//! A broker in memory: subscribers by topic, each with a mailbox.

mod topic;

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, RwLock},
    task::{Context, Poll},
};

use futures::Stream;
use micro_plugin_api::{
    BoxStream, Broker, Call, Error, Result,
    broker::{Delivery, Losses, Mailbox, Message, check_queue, check_topic},
};

use self::topic::{Place, Topic};
use crate::lock::{read, write};

/// Messages between those who are subscribed at the time.
#[derive(Default)]
pub struct MemoryBroker {
    topics: Arc<Topics>,
    losses: Arc<Losses>,
}

impl MemoryBroker {
    /// A broker without subscribers.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many messages slow subscribers have lost.
    pub fn lost(&self) -> u64 {
        self.losses.total()
    }

    /// How many subscribers there are, of all topics.
    pub fn subscribers(&self) -> usize {
        read(&self.topics).values().map(Topic::subscribers).sum()
    }
}

impl Broker for MemoryBroker {
    async fn publish(&self, _call: &Call, topic: &str, message: Message) -> Result<()> {
        check_topic(topic)?;
        message.check()?;
        // A subscriber that comes or goes waits until the message has been handed out, which
        // takes no longer than to put it into the mailboxes.
        if let Some(topic) = read(&self.topics).get(topic) {
            topic.publish(&Arc::new(message));
        }
        Ok(())
    }

    async fn subscribe(
        &self,
        _call: &Call,
        topic: &str,
        queue: Option<&str>,
    ) -> Result<BoxStream<Result<Delivery>>> {
        check_topic(topic)?;
        check_queue(queue)?;
        let name: Arc<str> = topic.into();
        let (sender, mailbox) = Mailbox::new(name.clone(), &self.losses);
        let place = write(&self.topics)
            .entry(name.clone())
            .or_default()
            .add(queue, sender);
        Ok(Box::pin(Subscription {
            mailbox,
            _leave: Leave {
                topics: self.topics.clone(),
                name,
                place,
            },
        }))
    }

    async fn shutdown(&self, _call: &Call) -> Result<()> {
        let topics = std::mem::take(&mut *write(&self.topics));
        for topic in topics.values() {
            topic.end(&Error::unavailable("the broker was closed"));
        }
        Ok(())
    }
}

/// The topics that have subscribers, by name.
type Topics = RwLock<HashMap<Arc<str>, Topic>>;

/// What a subscriber reads. Dropping it ends the subscription.
struct Subscription {
    /// Before the other field: dropped first, so that a message which is handed out in between
    /// goes to another member of the queue.
    mailbox: Mailbox,
    _leave: Leave,
}

impl Stream for Subscription {
    type Item = Result<Delivery>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.mailbox).poll_next(context)
    }
}

/// Takes a subscriber off its topic when it is dropped, and the topic away with its last one.
struct Leave {
    topics: Arc<Topics>,
    name: Arc<str>,
    place: Place,
}

impl Drop for Leave {
    fn drop(&mut self) {
        let mut topics = write(&self.topics);
        if let Some(topic) = topics.get_mut(&self.name) {
            topic.remove(&self.place);
            if topic.subscribers() == 0 {
                topics.remove(&self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;

    use super::*;

    #[tokio::test]
    async fn a_subscriber_that_goes_leaves_nothing_behind() {
        let (broker, call) = (MemoryBroker::new(), Call::default());
        let plain = broker.subscribe(&call, "t", None).await.unwrap();
        let member = broker.subscribe(&call, "t", Some("q")).await.unwrap();
        assert_eq!(broker.subscribers(), 2);
        drop(plain);
        assert_eq!(broker.subscribers(), 1);
        drop(member);
        assert!(read(&broker.topics).is_empty());
    }

    #[tokio::test]
    async fn a_subscriber_of_a_later_broker_is_not_touched_by_one_of_before_the_shutdown() {
        let (broker, call) = (MemoryBroker::new(), Call::default());
        let mut old = broker.subscribe(&call, "t", None).await.unwrap();
        broker.shutdown(&call).await.unwrap();
        let _new = broker.subscribe(&call, "t", None).await.unwrap();
        assert!(old.next().await.unwrap().is_err());
        drop(old);
        assert_eq!(broker.subscribers(), 1);
    }
}
