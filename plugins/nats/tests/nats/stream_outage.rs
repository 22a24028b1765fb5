//! A stream whose server comes late, goes, and hangs.

use micro_plugin_api::{Code, Stream as _, stream::NewEvent};
use micro_test_backends::{Nats, eventually, soon};

use crate::{
    common::hasty,
    events::{Events, TOPIC, from_the_start, member, own, text},
};

/// Until a publish fails: one may still pass while a server is being stopped.
async fn fails(events: &Events) {
    eventually(async || {
        let (call, event) = (hasty(), [NewEvent::new(TOPIC, "nobody knows")]);
        let publish = soon("an answer", events.0.publish(&call, &event)).await;
        publish.is_err_and(|error| error.code() == Code::UNAVAILABLE)
    })
    .await;
}

#[tokio::test]
async fn it_opens_before_its_server_and_goes_on_when_that_is_there() {
    let mut nats = Nats::start().await;
    nats.kill();
    let events = Events::open(&own(&nats)).await;
    fails(&events).await;
    assert!(events.0.health(&hasty()).await.is_err());
    nats.restart().await;
    events.publish(&["a"]).await;
    assert_eq!(events.history().await, ["a"]);
}

#[tokio::test]
async fn events_groups_and_consumers_outlive_a_server_that_is_killed() {
    let mut nats = Nats::start().await;
    let events = Events::open(&own(&nats)).await;
    let mut alone = events.consume(&from_the_start()).await;
    let mut grouped = events.consume(&member()).await;
    events.publish(&["a"]).await;
    events.publish(&["b", "c"]).await;
    assert_eq!(alone.text().await, "a");
    let delivery = grouped.next().await;
    assert_eq!(text(&delivery.event), "a");
    events.ack(&delivery).await;
    nats.kill();
    eventually(async || events.0.health(&hasty()).await.is_err()).await;
    nats.restart().await;
    events.publish(&["d"]).await;
    for payload in ["b", "c", "d"] {
        assert_eq!(alone.text().await, payload);
        let delivery = grouped.next().await;
        assert_eq!(
            (text(&delivery.event).as_str(), delivery.attempt),
            (payload, 1)
        );
        events.ack(&delivery).await;
    }
    assert_eq!(events.history().await, ["a", "b", "c", "d"]);
    // What was acknowledged stays so, whatever the server remembers of it.
    grouped.quiet().await;
    alone.quiet().await;
}

#[tokio::test]
async fn a_publish_to_a_server_that_hangs_fails_and_the_next_one_does_not() {
    let mut nats = Nats::start().await;
    let events = Events::open(&own(&nats)).await;
    let mut alone = events.consume(&from_the_start()).await;
    events.publish(&["a"]).await;
    assert_eq!(alone.text().await, "a");
    nats.pause();
    fails(&events).await;
    nats.resume();
    events.publish(&["b"]).await;
    loop {
        match alone.text().await.as_str() {
            // Nobody knew; the server had it on its way.
            "nobody knows" => {}
            last => break assert_eq!(last, "b"),
        }
    }
}
