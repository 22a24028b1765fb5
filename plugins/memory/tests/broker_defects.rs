//! The suite of the broker notices what is wrong: the memory broker behind wrappers that break one
//! rule each.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{
    FutureExt as _, StreamExt as _,
    channel::mpsc::{UnboundedSender, unbounded},
    stream,
};
use micro_memory::MemoryBroker;
use micro_plugin_api::{
    BoxStream, Broker, BrokerHandle, Call, Error, Result,
    broker::{Delivery, Message},
};
use micro_plugin_conformance::broker;

/// What is wrong with a broker.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Defect {
    DropsTheHeader,
    FoldsCase,
    TreatsStarAsWildcard,
    IgnoresQueues,
    QueuesAcrossTopics,
    PublishesTwice,
    KeepsTheLast,
    SubscribesLate,
    Reorders,
    ForgetsLosses,
    KeepsEverything,
    KeepsOne,
    WaitsForTheSlow,
    RefusesLarge,
    TakesAnyName,
    EndsAtTheDeadline,
    SurvivesShutdown,
}

struct BadBroker {
    inner: Arc<MemoryBroker>,
    defect: Defect,
    last: Mutex<Option<Message>>,
    held: Mutex<Option<Message>>,
    unbounded: Mutex<Vec<UnboundedSender<Result<Delivery>>>>,
}

impl BadBroker {
    fn topic(&self, topic: &str) -> String {
        match self.defect {
            Defect::FoldsCase => topic.to_lowercase(),
            // All that is said of a pattern here: both ends are one topic.
            Defect::TreatsStarAsWildcard => topic.replace('*', "a"),
            Defect::TakesAnyName if topic.is_empty() => "empty".to_owned(),
            _ => topic.to_owned(),
        }
    }
}

impl Broker for BadBroker {
    async fn publish(&self, call: &Call, topic: &str, mut message: Message) -> Result<()> {
        let topic = self.topic(topic);
        match self.defect {
            Defect::DropsTheHeader => message.header.remove("content-type").map_or((), drop),
            Defect::PublishesTwice => self.inner.publish(call, &topic, message.clone()).await?,
            Defect::KeepsTheLast => *self.last.lock().unwrap() = Some(message.clone()),
            Defect::RefusesLarge if message.size() > 1 << 16 => {
                return Err(Error::invalid("larger than this broker likes"));
            }
            Defect::Reorders => {
                // Each second one overtakes the one before.
                let first = self.held.lock().unwrap().take();
                let Some(first) = first else {
                    *self.held.lock().unwrap() = Some(message);
                    return Ok(());
                };
                self.inner.publish(call, &topic, message).await?;
                return self.inner.publish(call, &topic, first).await;
            }
            Defect::KeepsEverything => {
                for subscriber in &*self.unbounded.lock().unwrap() {
                    let message = message.clone();
                    let _ = subscriber.unbounded_send(Ok(Delivery { message, lost: 0 }));
                }
                return Ok(());
            }
            Defect::WaitsForTheSlow if self.inner.lost() > 0 => std::future::pending().await,
            _ => {}
        }
        self.inner.publish(call, &topic, message).await
    }

    async fn subscribe(
        &self,
        call: &Call,
        topic: &str,
        queue: Option<&str>,
    ) -> Result<BoxStream<Result<Delivery>>> {
        let topic = match (self.defect, queue) {
            (Defect::QueuesAcrossTopics, Some(_)) => topic.trim_end_matches("other").to_owned(),
            _ => self.topic(topic),
        };
        let queue = queue.filter(|_| self.defect != Defect::IgnoresQueues);
        if self.defect == Defect::SubscribesLate {
            let (inner, call) = (self.inner.clone(), call.clone());
            let queue = queue.map(str::to_owned);
            let late = async move { inner.subscribe(&call, &topic, queue.as_deref()).await };
            return Ok(stream::once(late)
                .flat_map(|subscribed| subscribed.unwrap_or_else(|_| stream::empty().boxed()))
                .boxed());
        }
        let deliveries = self.inner.subscribe(call, &topic, queue).await?;
        Ok(match self.defect {
            Defect::KeepsTheLast => {
                let last = self.last.lock().unwrap().clone();
                let last = last.map(|message| Ok(Delivery { message, lost: 0 }));
                stream::iter(last).chain(deliveries).boxed()
            }
            Defect::ForgetsLosses => deliveries
                .map(|delivery| {
                    delivery.map(|delivery| Delivery {
                        lost: 0,
                        ..delivery
                    })
                })
                .boxed(),
            Defect::KeepsEverything => {
                let (sender, receiver) = unbounded();
                self.unbounded.lock().unwrap().push(sender);
                receiver.boxed()
            }
            Defect::KeepsOne => {
                // Whatever waits when one is taken is thrown away.
                let newest = stream::unfold(deliveries, |mut deliveries| async {
                    let mut newest = deliveries.next().await?;
                    while let Some(Some(next)) = deliveries.next().now_or_never() {
                        newest = next;
                    }
                    Some((newest, deliveries))
                });
                newest.boxed()
            }
            Defect::EndsAtTheDeadline => match call.remaining() {
                // Not a wait: the deadline itself.
                Some(left) => deliveries.take_until(tokio::time::sleep(left)).boxed(),
                None => deliveries,
            },
            _ => deliveries,
        })
    }

    async fn shutdown(&self, call: &Call) -> Result<()> {
        match self.defect {
            Defect::SurvivesShutdown => Ok(()),
            _ => self.inner.shutdown(call).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_defect_fails_its_rule() {
    for (defect, rule) in [
        (Defect::DropsTheHeader, "broker.deliver.unchanged"),
        (Defect::FoldsCase, "broker.topic.bytewise"),
        (Defect::TreatsStarAsWildcard, "broker.topic.literal"),
        (Defect::IgnoresQueues, "broker.queue.shared"),
        (Defect::IgnoresQueues, "broker.queue.beside-others"),
        (Defect::QueuesAcrossTopics, "broker.queue.of-one-topic"),
        (Defect::PublishesTwice, "broker.deliver.once"),
        (Defect::PublishesTwice, "broker.deliver.everybody"),
        (Defect::KeepsTheLast, "broker.deliver.nobody"),
        (Defect::KeepsTheLast, "broker.queue.nothing-kept"),
        (Defect::SubscribesLate, "broker.deliver.from-subscribing-on"),
        (Defect::Reorders, "broker.deliver.in-order"),
        (Defect::ForgetsLosses, "broker.slow.told"),
        (Defect::KeepsEverything, "broker.slow.told"),
        (Defect::KeepsOne, "broker.slow.waits"),
        (Defect::WaitsForTheSlow, "broker.slow.alone"),
        (Defect::RefusesLarge, "broker.deliver.large"),
        (Defect::TakesAnyName, "broker.topic.length"),
        (
            Defect::EndsAtTheDeadline,
            "broker.subscription.outlives-its-call",
        ),
        (Defect::SurvivesShutdown, "broker.shutdown.ends"),
    ] {
        let open = async || {
            Ok(BrokerHandle::new(BadBroker {
                inner: Arc::default(),
                defect,
                last: Mutex::default(),
                held: Mutex::default(),
                unbounded: Mutex::default(),
            }))
        };
        let suite = broker::suite()
            .only(rule)
            .with_deadline(Duration::from_secs(12));
        let report = suite.run(open).await;
        report.assert_noticed(rule, &defect);
    }
}
