//! One who consumes: events go out, acknowledgements come in on the same stream.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures::{FutureExt as _, Stream, StreamExt as _};
use micro_access::Caller;
use micro_modules::Modules;
use micro_plugin_api::{
    BoxStream, Call, StreamHandle,
    stream::{Acks, Delivery, Settlement, Token},
};
use micro_proto::events::{ConsumeRequest, Event};
use micro_wire::Error;
use tonic::Status;

use super::{
    codec::Incoming,
    convert::{event, options, topic_of},
};
use crate::error;

/// How many deliveries are remembered for an acknowledgement: more than can be in flight, since
/// nobody tells which of them were given up.
const REMEMBERED: usize = 4_096;

/// How many acknowledgements are settled together.
const SETTLED_TOGETHER: usize = 256;

/// How long settling may take.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves the consumers of one handler.
#[derive(Clone)]
pub(super) struct Consumer {
    modules: Arc<Modules>,
    id: &'static str,
    lenient: bool,
}

impl Consumer {
    pub(super) fn new(modules: Arc<Modules>, id: &'static str) -> Self {
        let lenient = false;
        Self {
            modules,
            id,
            lenient,
        }
    }

    /// The same for those who can send one message alone: without an ack wait they do not
    /// acknowledge.
    pub(super) fn for_terminals(mut self) -> Self {
        self.lenient = true;
        self
    }

    pub(super) fn id(&self) -> &'static str {
        self.id
    }

    /// The events that a request asks for. It returns when the consumer is one, so that nothing
    /// that is published from then on is missed.
    pub(super) async fn consume(
        &self,
        caller: &Caller,
        call: &Call,
        request: ConsumeRequest,
        incoming: impl Stream<Item = Result<Incoming, Status>> + Send + 'static,
    ) -> Result<BoxStream<Result<Event, Status>>, Status> {
        let namespace = caller.namespace.clone();
        caller.authorize_admin(self.id, &namespace)?;
        if request.topic.is_empty() {
            return Err(Error::bad_request(self.id, "Missing topic").into());
        }
        let options = options(&request, self.lenient);
        let options = options.map_err(|detail| Error::bad_request(self.id, detail))?;
        let topic = topic_of(&namespace, &request.topic);
        let stream = self.modules.stream();
        let deliveries = stream.consume(call, &topic, &options).await;
        let deliveries = deliveries.map_err(error::module(self.id))?;
        let events = match options.acks {
            Acks::Automatic => automatic(self.id, namespace, deliveries).boxed(),
            Acks::Manual { .. } => {
                manual(self.id, namespace, stream, deliveries, incoming.boxed()).boxed()
            }
        };
        Ok(events)
    }
}

fn automatic(
    id: &'static str,
    namespace: String,
    deliveries: BoxStream<micro_plugin_api::Result<Delivery>>,
) -> impl Stream<Item = Result<Event, Status>> {
    deliveries.map(move |delivery| {
        let delivery = delivery.map_err(error::module(id))?;
        Ok(event(&namespace, delivery.event, delivery.attempt))
    })
}

fn manual(
    id: &'static str,
    namespace: String,
    stream: StreamHandle,
    mut deliveries: BoxStream<micro_plugin_api::Result<Delivery>>,
    mut incoming: BoxStream<Result<Incoming, Status>>,
) -> impl Stream<Item = Result<Event, Status>> {
    async_stream::try_stream! {
        let mut unsettled = Unsettled::default();
        // Who has no more to say may still listen.
        let mut speaks = true;
        loop {
            let next = tokio::select! {
                // What is acknowledged makes room for what is delivered.
                biased;
                message = incoming.next(), if speaks => Next::Message(message),
                delivery = deliveries.next() => Next::Delivery(delivery),
            };
            match next {
                Next::Message(Some(message)) => {
                    let settlements = unsettled.take_ready(message?, &mut incoming)?;
                    let call = Call::new(&namespace).with_timeout(SETTLE_TIMEOUT);
                    let settled = stream.settle(&call, &settlements).await;
                    settled.map_err(error::module(id))?;
                }
                Next::Message(None) => speaks = false,
                Next::Delivery(Some(delivery)) => {
                    let delivery = delivery.map_err(error::module(id))?;
                    unsettled.remember(&delivery);
                    yield event(&namespace, delivery.event, delivery.attempt);
                }
                Next::Delivery(None) => break,
            }
        }
    }
}

/// What happens next to a consumer that acknowledges.
enum Next {
    Message(Option<Result<Incoming, Status>>),
    Delivery(Option<micro_plugin_api::Result<Delivery>>),
}

/// The deliveries that have not been settled, by the ids of their events, the oldest first.
#[derive(Default)]
struct Unsettled(VecDeque<(String, Token)>);

impl Unsettled {
    fn remember(&mut self, delivery: &Delivery) {
        // A token of an earlier delivery of the same event means nothing any more.
        self.take(&delivery.event.id);
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0
            .push_back((delivery.event.id.clone(), delivery.token.clone()));
    }

    fn take(&mut self, id: &str) -> Option<Token> {
        // They are acknowledged about in the order in which they were delivered.
        let at = self.0.iter().position(|(known, _)| known == id)?;
        self.0.remove(at).map(|(_, token)| token)
    }

    /// What a message settles, and those that came with it. An event that is not known was settled
    /// before, or given up: that is no error.
    fn take_ready(
        &mut self,
        first: Incoming,
        more: &mut BoxStream<Result<Incoming, Status>>,
    ) -> Result<Vec<Settlement>, Status> {
        let mut settlements = Vec::new();
        let mut next = Some(first);
        while let Some(message) = next.take() {
            if let Incoming::Settle { id, success } = message
                && let Some(token) = self.take(&id)
            {
                settlements.push(Settlement {
                    token,
                    acknowledged: success,
                });
            }
            if settlements.len() < SETTLED_TOGETHER {
                // The end, if this is it, comes again to whoever asks next.
                next = more.next().now_or_never().flatten().transpose()?;
            }
        }
        Ok(settlements)
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    fn delivery(id: &str, token: &str) -> Delivery {
        let mut delivery = Delivery {
            token: Token(token.to_owned()),
            ..Delivery::default()
        };
        delivery.event.id = id.to_owned();
        delivery
    }

    fn settle(id: &str, success: bool) -> Incoming {
        Incoming::Settle {
            id: id.to_owned(),
            success,
        }
    }

    #[test]
    fn acknowledgements_that_come_together_are_settled_together() {
        let mut unsettled = Unsettled::default();
        for (id, token) in [("a", "1"), ("b", "2"), ("a", "3"), ("c", "4")] {
            unsettled.remember(&delivery(id, token));
        }
        let more = [
            settle("b", false),
            settle("a", true),
            settle("unknown", true),
        ];
        let mut more = stream::iter(more.map(Ok)).chain(stream::pending()).boxed();
        let taken = unsettled.take_ready(settle("a", true), &mut more).unwrap();
        let token = |token: &str| Token(token.to_owned());
        assert_eq!(
            taken,
            [Settlement::ack(token("3")), Settlement::nack(token("2"))]
        );
        assert_eq!(unsettled.0.len(), 1);
    }

    #[test]
    fn what_is_never_settled_is_forgotten() {
        let mut unsettled = Unsettled::default();
        for i in 0..=REMEMBERED {
            unsettled.remember(&delivery(&i.to_string(), "t"));
        }
        assert_eq!(unsettled.0.len(), REMEMBERED);
        assert!(unsettled.take("0").is_none() && unsettled.take("1").is_some());
    }
}
