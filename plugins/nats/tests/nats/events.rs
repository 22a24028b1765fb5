//! A stream as the cases use it: one topic of one instance.

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use micro_nats::{NatsStream, Settings};
use micro_plugin_api::{
    BoxStream, Result, Stream as _,
    stream::{Acks, ConsumeOptions, Delivery, Event, HistoryQuery, NewEvent, Settlement, Start},
};
use micro_test_backends::{Nats, soon, unique};

use crate::common::{host, patient, settings};

pub(crate) const TOPIC: &str = "orders.created";

/// Settings with a place of their own on a server.
pub(crate) fn own(nats: &Nats) -> Settings {
    Settings {
        prefix: unique("case"),
        max_bytes: 64 << 20,
        ..settings(nats)
    }
}

pub(crate) struct Events(pub(crate) NatsStream);

impl Events {
    pub(crate) async fn open(settings: &Settings) -> Self {
        Self(NatsStream::open(settings.clone(), host()).await.unwrap())
    }

    /// Publishes these payloads as one batch.
    pub(crate) async fn publish(&self, payloads: &[&str]) {
        let payloads = payloads.iter().map(|payload| (*payload).to_owned());
        let events: Vec<_> = payloads.map(|it| NewEvent::new(TOPIC, it)).collect();
        let call = patient();
        let ids = soon("publishing", self.0.publish(&call, &events))
            .await
            .unwrap();
        assert_eq!(ids.len(), events.len());
    }

    pub(crate) async fn consume(&self, options: &ConsumeOptions) -> Inbox {
        let call = patient();
        let consume = soon("consuming", self.0.consume(&call, TOPIC, options));
        Inbox(consume.await.unwrap())
    }

    pub(crate) async fn settle(&self, settlement: Settlement) {
        self.0.settle(&patient(), &[settlement]).await.unwrap();
    }

    pub(crate) async fn ack(&self, delivery: &Delivery) {
        self.settle(Settlement::ack(delivery.token.clone())).await;
    }

    /// The payloads of the history.
    pub(crate) async fn history(&self) -> Vec<String> {
        let (call, query) = (patient(), HistoryQuery::default());
        let read = async {
            let events = self.0.history(&call, TOPIC, &query).await?;
            events.try_collect::<Vec<_>>().await
        };
        let events = soon("the history", read).await.unwrap();
        events.iter().map(text).collect()
    }

    pub(crate) async fn shutdown(self) {
        let call = patient();
        soon("the shutdown", self.0.shutdown(&call)).await.unwrap();
    }
}

pub(crate) struct Inbox(BoxStream<Result<Delivery>>);

impl Inbox {
    pub(crate) async fn next(&mut self) -> Delivery {
        soon("a delivery", self.0.next()).await.unwrap().unwrap()
    }

    pub(crate) async fn text(&mut self) -> String {
        text(&self.next().await.event)
    }

    /// What comes in half a second, which should be nothing.
    pub(crate) async fn quiet(&mut self) {
        let next = tokio::time::timeout(Duration::from_millis(500), self.0.next()).await;
        assert!(next.is_err(), "{next:?}");
    }
}

pub(crate) fn text(event: &Event) -> String {
    String::from_utf8_lossy(&event.payload).into_owned()
}

/// Everything that is kept.
pub(crate) fn from_the_start() -> ConsumeOptions {
    ConsumeOptions {
        start: Start::Time(0),
        ..ConsumeOptions::default()
    }
}

/// A member of the one group, who acknowledges and has all the time for it.
pub(crate) fn member() -> ConsumeOptions {
    ConsumeOptions {
        group: Some("billing".to_owned()),
        acks: Acks::Manual {
            wait: Duration::from_secs(600),
        },
        ..from_the_start()
    }
}
