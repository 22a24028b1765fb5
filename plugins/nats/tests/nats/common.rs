//! What the cases share: settings for a server, and a broker that works.

use std::time::Duration;

use futures::StreamExt as _;
use micro_nats::{NatsBroker, Settings, Urls};
use micro_plugin_api::{Broker as _, Call, Error, Host, broker::Message};
use micro_test_backends::{Nats, PATIENCE, soon};

pub(crate) fn host() -> Host {
    Host::new("nats", "/nonexistent", "/nonexistent")
}

pub(crate) fn settings(nats: &Nats) -> Settings {
    Settings {
        url: Urls::One(nats.url().to_owned()),
        ..Settings::default()
    }
}

/// A call that may take as long as a busy machine needs.
pub(crate) fn patient() -> Call {
    Call::new("test").with_timeout(PATIENCE)
}

/// A call that may not.
pub(crate) fn hasty() -> Call {
    Call::new("test").with_timeout(Duration::from_secs(1))
}

/// Fails unless a message goes through this server.
pub(crate) async fn works(settings: Settings) {
    let broker = NatsBroker::open(settings, host()).await.unwrap();
    let mut inbox = broker.subscribe(&patient(), "t", None).await.unwrap();
    let sent = Message::new("hello");
    broker.publish(&patient(), "t", sent.clone()).await.unwrap();
    let delivery = soon("the message", inbox.next()).await.unwrap().unwrap();
    assert_eq!(delivery.message, sent);
    broker.health(&patient()).await.unwrap();
}

/// Why no message goes through this server.
pub(crate) async fn refused(settings: Settings) -> Error {
    let broker = NatsBroker::open(settings, host()).await.unwrap();
    let call = hasty();
    let sent = broker.publish(&call, "t", Message::new("hello"));
    soon("an answer", sent).await.unwrap_err()
}
