//! Several servers of one platform: their members share the groups.

use std::collections::BTreeSet;

use micro_plugin_api::stream::{ConsumeOptions, Settlement};
use micro_test_backends::Nats;

use crate::events::{Events, from_the_start, member, own, text};

#[tokio::test]
async fn members_of_a_group_on_two_servers_get_each_event_once() {
    let settings = own(Nats::shared().await);
    let (here, there) = (Events::open(&settings).await, Events::open(&settings).await);
    let few = ConsumeOptions {
        in_flight: 5,
        ..member()
    };
    let (mut one, mut two) = (here.consume(&few).await, there.consume(&few).await);
    let mut alone = there.consume(&from_the_start()).await;
    let mut seen = BTreeSet::new();
    let all: Vec<_> = (0..10).map(|i| i.to_string()).collect();
    for payload in &all {
        here.publish(&[payload]).await;
    }
    // Neither may have more than half of them.
    for _ in 0..5 {
        seen.insert(one.text().await);
        seen.insert(two.text().await);
    }
    assert_eq!(seen, all.iter().cloned().collect());
    for payload in &all {
        assert_eq!(&alone.text().await, payload);
    }
}

#[tokio::test]
async fn what_a_server_leaves_behind_goes_to_the_others_and_no_more_than_that() {
    let settings = own(Nats::shared().await);
    let (here, there) = (Events::open(&settings).await, Events::open(&settings).await);
    let mut inbox = here.consume(&member()).await;
    here.publish(&["a", "b", "c"]).await;
    here.publish(&["d"]).await;
    for _ in 0..4 {
        let delivery = inbox.next().await;
        if ["a", "c"].contains(&text(&delivery.event).as_str()) {
            here.ack(&delivery).await;
        }
    }
    here.shutdown().await;
    let mut inbox = there.consume(&member()).await;
    for payload in ["b", "d"] {
        let delivery = inbox.next().await;
        assert_eq!(
            (text(&delivery.event).as_str(), delivery.attempt),
            (payload, 2)
        );
        there.ack(&delivery).await;
    }
    inbox.quiet().await;
}

#[tokio::test]
async fn a_server_whose_members_do_not_read_keeps_nothing() {
    let settings = own(Nats::shared().await);
    let (here, there) = (Events::open(&settings).await, Events::open(&settings).await);
    let mut lazy = here.consume(&member()).await;
    // It waits, so that the next one comes here; and never reads again.
    lazy.quiet().await;
    there.publish(&["a"]).await;
    let mut keen = there.consume(&member()).await;
    let delivery = keen.next().await;
    // It was on its way to the other, who never had it.
    assert_eq!((text(&delivery.event).as_str(), delivery.attempt), ("a", 1));
    drop(lazy);
}

#[tokio::test]
async fn the_first_member_fixes_the_terms_for_those_on_other_servers() {
    let settings = own(Nats::shared().await);
    let (here, there) = (Events::open(&settings).await, Events::open(&settings).await);
    let once = ConsumeOptions {
        retry_limit: Some(0),
        ..member()
    };
    // Who does not read gets nothing.
    let _first = here.consume(&once).await;
    let mut second = there.consume(&member()).await;
    there.publish(&["a"]).await;
    let delivery = second.next().await;
    there.settle(Settlement::nack(delivery.token)).await;
    second.quiet().await;
    there.publish(&["b"]).await;
    assert_eq!(second.text().await, "b");
}
