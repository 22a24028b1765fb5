//! A broker within one process, to begin from.

use std::{collections::BTreeMap, sync::Arc, sync::Mutex, sync::MutexGuard, sync::PoisonError};

use micro_plugin_api::{broker, prelude::*};

/// Who subscribes to a topic, alone or as a member of a queue.
struct Subscriber {
    topic: String,
    queue: Option<String>,
    mailbox: MailboxSender,
}

#[derive(Default)]
struct Backend {
    subscribers: Mutex<Vec<Subscriber>>,
    losses: Arc<Losses>,
}

impl Backend {
    fn open(_: NoSettings, _: Host) -> Result<Self> {
        Ok(Self::default())
    }

    fn subscribers(&self) -> MutexGuard<'_, Vec<Subscriber>> {
        let mut all = self
            .subscribers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.retain(|subscriber| subscriber.mailbox.is_open());
        all
    }
}

impl Broker for Backend {
    async fn publish(&self, _: &Call, topic: &str, message: Message) -> Result<()> {
        broker::check_topic(topic)?;
        message.check()?;
        let (message, mut all) = (Arc::new(message), self.subscribers());
        let mut queues: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, subscriber) in all.iter().enumerate().filter(|it| it.1.topic == topic) {
            match &subscriber.queue {
                Some(queue) => queues.entry(queue).or_default().push(at),
                None => _ = subscriber.mailbox.send(&message),
            }
        }
        let has_room = |at: &usize| all[*at].mailbox.has_room(message.size());
        let choose =
            |members: &Vec<usize>| members.iter().copied().find(has_room).unwrap_or(members[0]);
        let mut chosen: Vec<usize> = queues.values().map(choose).collect();
        chosen.sort_unstable();
        // Who got one goes to the end, so that the next one goes to another member.
        for at in chosen.into_iter().rev() {
            let subscriber = all.remove(at);
            subscriber.mailbox.send(&message);
            all.push(subscriber);
        }
        Ok(())
    }

    async fn subscribe(
        &self,
        _: &Call,
        topic: &str,
        queue: Option<&str>,
    ) -> Result<BoxStream<Result<broker::Delivery>>> {
        broker::check_topic(topic)?;
        broker::check_queue(queue)?;
        let (mailbox, deliveries) = Mailbox::new(topic, &self.losses);
        self.subscribers().push(Subscriber {
            topic: topic.to_owned(),
            queue: queue.map(str::to_owned),
            mailbox,
        });
        Ok(deliveries.boxed())
    }

    async fn shutdown(&self, _: &Call) -> Result<()> {
        for subscriber in self.subscribers().drain(..) {
            let closed = Error::unavailable("the broker was closed; subscribe again");
            subscriber.mailbox.end(closed);
        }
        Ok(())
    }
}

export_plugin! { name: "pigeons", broker: Backend::open, run = inline }

#[cfg(test)]
#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_its_contract() {
    let open = async || Backend::open(NoSettings {}, Host::new("", "", "")).map(BrokerHandle::new);
    let suite = micro_plugin_conformance::broker::suite().of(&PLUGIN.capabilities());
    suite.run(open).await.assert_passed();
}
