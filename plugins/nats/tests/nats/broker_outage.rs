//! A broker whose server comes late, goes, and hangs.

use futures::StreamExt as _;
use micro_nats::NatsBroker;
use micro_plugin_api::{Broker as _, Code, broker::Message};
use micro_test_backends::{Nats, eventually, soon};

use crate::common::{hasty, host, patient, settings};

#[tokio::test]
async fn it_opens_before_its_server_and_goes_on_when_that_is_there() {
    let mut nats = Nats::start().await;
    nats.kill();
    let broker = NatsBroker::open(settings(&nats), host()).await.unwrap();
    for error in [
        broker.health(&hasty()).await.unwrap_err(),
        broker
            .publish(&hasty(), "t", Message::new("lost"))
            .await
            .unwrap_err(),
        broker
            .subscribe(&hasty(), "t", None)
            .await
            .map(drop)
            .unwrap_err(),
    ] {
        assert_eq!(error.code(), Code::UNAVAILABLE);
        assert!(error.message().contains("127.0.0.1"), "{error}");
    }
    nats.restart().await;
    // The call that waits for it is answered, and nothing from before comes.
    let mut inbox = broker.subscribe(&patient(), "t", None).await.unwrap();
    broker
        .publish(&patient(), "t", Message::new("first"))
        .await
        .unwrap();
    let delivery = soon("a message", inbox.next()).await.unwrap().unwrap();
    assert_eq!(delivery.message.body, "first");
    broker.health(&patient()).await.unwrap();
}

#[tokio::test]
async fn subscriptions_outlive_a_server_that_is_killed() {
    let mut nats = Nats::start().await;
    let broker = NatsBroker::open(settings(&nats), host()).await.unwrap();
    let mut plain = broker.subscribe(&patient(), "t", None).await.unwrap();
    let mut member = broker.subscribe(&patient(), "t", Some("q")).await.unwrap();
    nats.kill();
    eventually(async || broker.health(&hasty()).await.is_err()).await;
    nats.restart().await;
    broker
        .publish(&patient(), "t", Message::new("again"))
        .await
        .unwrap();
    for inbox in [&mut plain, &mut member] {
        let delivery = soon("a message", inbox.next()).await.unwrap().unwrap();
        assert_eq!(delivery.message.body, "again");
    }
}

#[tokio::test]
async fn a_publish_to_a_server_that_hangs_fails_and_later_ones_do_not() {
    let mut nats = Nats::start().await;
    let broker = NatsBroker::open(settings(&nats), host()).await.unwrap();
    broker.health(&patient()).await.unwrap();
    nats.pause();
    // One may still pass while the server is being stopped.
    eventually(async || {
        let call = hasty();
        let sent = broker.publish(&call, "t", Message::new("nobody knows"));
        let sent = soon("an answer", sent).await;
        sent.is_err_and(|error| error.code() == Code::UNAVAILABLE)
    })
    .await;
    nats.resume();
    broker
        .publish(&patient(), "t", Message::new("known"))
        .await
        .unwrap();
}
