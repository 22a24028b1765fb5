//! Messages through what is live.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use micro_plugin_api::{
    BoxFuture, BoxStream, Broker, BrokerHandle, Bytes, Call, Result,
    broker::{Delivery, Message},
};

use crate::{live::Live, moving::Resume, slot::Slot};

/// The broker that is live.
pub(crate) struct SwappableBroker(pub(crate) Arc<Slot<BrokerHandle>>);

impl Broker for SwappableBroker {
    async fn publish(&self, call: &Call, topic: &str, message: Message) -> Result<()> {
        let _pass = self.0.gate.write(call).await?;
        self.0.live()?.handle.publish(call, topic, message).await
    }

    async fn subscribe(
        &self,
        call: &Call,
        topic: &str,
        queue: Option<&str>,
    ) -> Result<BoxStream<Result<Delivery>>> {
        let _pass = self.0.gate.write(call).await?;
        let live = self.0.live()?;
        let source = live.handle.subscribe(call, topic, queue).await?;
        let resume = Subscription {
            topic: topic.to_owned(),
            queue: queue.map(str::to_owned),
            overlap: None,
        };
        Ok(self.0.moving(live, source, resume))
    }

    async fn health(&self, call: &Call) -> Result<()> {
        let _pass = self.0.gate.read(call).await?;
        self.0.live()?.handle.health(call).await
    }
}

/// A subscription. While it is open on two instances, which may be two connections to one server,
/// what came by the first is left out when it comes by the second too. Of two servers each message
/// is another one, however much it looks like one before.
struct Subscription {
    topic: String,
    queue: Option<String>,
    overlap: Option<Overlap>,
}

/// The messages that came by the first of two instances while it was open on both, counted.
enum Overlap {
    /// It is read from the first.
    Told(HashMap<Fingerprint, usize>),
    /// It is read from the second.
    Coming(HashMap<Fingerprint, usize>),
}

/// What a message is known by.
type Fingerprint = (Vec<(String, String)>, Bytes);

fn fingerprint(message: &Message) -> Fingerprint {
    let header = message.header.iter();
    let header = header.map(|(name, value)| (name.clone(), value.clone()));
    (header.collect(), message.body.clone())
}

impl Resume<BrokerHandle> for Subscription {
    type Item = Delivery;
    const COLLECTS: bool = true;

    fn open(
        &self,
        live: &Live<BrokerHandle>,
    ) -> BoxFuture<'static, Result<BoxStream<Result<Delivery>>>> {
        let (handle, topic, queue) = (live.handle.clone(), self.topic.clone(), self.queue.clone());
        Box::pin(async move {
            let call = super::resuming();
            handle.subscribe(&call, &topic, queue.as_deref()).await
        })
    }

    fn pass(&mut self, delivery: Delivery, ready: &mut VecDeque<Delivery>) {
        match &mut self.overlap {
            Some(Overlap::Told(told)) => {
                *told.entry(fingerprint(&delivery.message)).or_default() += 1;
            }
            Some(Overlap::Coming(told)) => {
                let again = told.get_mut(&fingerprint(&delivery.message));
                match again {
                    Some(count) if *count > 0 => {
                        *count -= 1;
                        return;
                    }
                    // What came by both comes first.
                    _ => self.overlap = None,
                }
            }
            None => {}
        }
        ready.push_back(delivery);
    }

    fn overlaps(&mut self) {
        self.overlap = Some(Overlap::Told(HashMap::new()));
    }

    fn stays(&mut self) {
        self.overlap = None;
    }

    fn moved(&mut self, _: &Arc<Live<BrokerHandle>>, same: bool) {
        self.overlap = match self.overlap.take() {
            Some(Overlap::Told(told)) if same && !told.is_empty() => Some(Overlap::Coming(told)),
            _ => None,
        };
    }
}
