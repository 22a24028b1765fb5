//! The rules of the `broker` module.

mod beyond;
mod deliver;
mod lives;
mod queues;
mod slow;
mod topics;

use std::time::Duration;

use futures::{StreamExt as _, stream::select_all};
use micro_plugin_api::{
    BoxStream, BrokerHandle, Call, Result,
    broker::{Delivery, Message},
};

use crate::{
    Suite,
    check::{Stop, Verdict, ensure, same, unique},
};

/// Every rule of the `broker` module.
pub fn suite() -> Suite<BrokerHandle> {
    let groups = [
        deliver::cases(),
        topics::cases(),
        queues::cases(),
        slow::cases(),
        lives::cases(),
        beyond::cases(),
    ];
    Suite::new("broker", groups.into_iter().flatten().collect())
}

/// How long something may take that should happen at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// What numbers the messages of a case.
const NUMBER: &str = "Number";

/// A broker with a topic of its own: what a case works in.
#[derive(Clone)]
struct Scope {
    broker: BrokerHandle,
    call: Call,
    topic: String,
}

impl Scope {
    fn new(broker: BrokerHandle) -> Self {
        Self::of(broker, unique("topic"))
    }

    fn of(broker: BrokerHandle, topic: String) -> Self {
        Self {
            broker,
            call: Call::new(&topic),
            topic,
        }
    }

    /// The same with a topic whose name begins like this one's.
    fn other(&self, topic: &str) -> Self {
        Self {
            topic: format!("{}{topic}", self.topic),
            ..self.clone()
        }
    }

    async fn send(&self, message: Message) -> Result<()> {
        self.broker.publish(&self.call, &self.topic, message).await
    }

    /// Publishes a message that is known by its number.
    async fn publish(&self, number: u64) -> Result<()> {
        self.send(Message::new(vec![b'x'; 16]).with_header(NUMBER, number.to_string()))
            .await
    }

    /// Publishes those numbers, one after the other.
    async fn publish_all(&self, numbers: impl IntoIterator<Item = u64>) -> Verdict {
        for number in numbers {
            self.publish(number).await?;
        }
        Ok(())
    }

    async fn subscribe(&self) -> Verdict<Inbox> {
        self.subscribed(None).await
    }

    async fn join(&self, queue: &str) -> Verdict<Inbox> {
        self.subscribed(Some(queue)).await
    }

    async fn subscribed(&self, queue: Option<&str>) -> Verdict<Inbox> {
        let subscribe = self.broker.subscribe(&self.call, &self.topic, queue);
        let subscribed = tokio::time::timeout(PATIENCE, subscribe).await;
        let deliveries = subscribed.map_err(|_| failed("subscribe did not answer"))??;
        Ok(Inbox(deliveries))
    }
}

/// A subscription as a case reads it.
struct Inbox(BoxStream<Result<Delivery>>);

impl Inbox {
    /// The next delivery, which must come.
    async fn delivery(&mut self) -> Verdict<Delivery> {
        match tokio::time::timeout(PATIENCE, self.0.next()).await {
            Ok(Some(delivery)) => Ok(delivery?),
            Ok(None) => Err(failed("the subscription ended by itself")),
            Err(_) => Err(Stop(format!("no message came within {PATIENCE:?}"))),
        }
    }

    /// The number of the next message; none may be lost.
    async fn number(&mut self) -> Verdict<u64> {
        let delivery = self.delivery().await?;
        same("messages lost", delivery.lost, 0)?;
        number(&delivery)
    }

    /// Fails unless exactly these numbers come next, in this order.
    async fn expect(&mut self, what: &str, numbers: impl IntoIterator<Item = u64>) -> Verdict {
        for wanted in numbers {
            same(what, self.number().await?, wanted)?;
        }
        Ok(())
    }
}

fn number(delivery: &Delivery) -> Verdict<u64> {
    let text = delivery.message.header.get(NUMBER);
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| Stop(format!("the header {NUMBER} came as {text:?}")))
}

/// Reads all inboxes until `count` messages have come to them together; what each got.
async fn collect(inboxes: Vec<Inbox>, count: usize) -> Verdict<Vec<Vec<u64>>> {
    let mut got = vec![Vec::new(); inboxes.len()];
    let streams = inboxes.into_iter().enumerate();
    let mut all = select_all(streams.map(|(at, inbox)| inbox.0.map(move |item| (at, item))));
    for come in 0..count {
        match tokio::time::timeout(PATIENCE, all.next()).await {
            Ok(Some((at, delivery))) => got[at].push(number(&delivery?)?),
            Ok(None) => return Err(failed("the subscriptions ended by themselves")),
            Err(_) => {
                let text = format!("{come} of {count} messages came within {PATIENCE:?}");
                return Err(Stop(text));
            }
        }
    }
    Ok(got)
}

/// Fails unless the members of a queue got each of `0..count` once, and each got some.
fn shared(got: &[Vec<u64>], count: u64) -> Verdict {
    let mut all: Vec<u64> = got.iter().flatten().copied().collect();
    all.sort_unstable();
    let wanted: Vec<u64> = (0..count).collect();
    ensure!(
        all == wanted,
        "the members of a queue got {} messages instead of {count}, each once",
        all.len()
    );
    ensure!(
        got.iter().all(|messages| !messages.is_empty()),
        "a member of a queue got none of {count} messages"
    );
    Ok(())
}

fn failed(reason: &str) -> Stop {
    Stop(reason.to_owned())
}
