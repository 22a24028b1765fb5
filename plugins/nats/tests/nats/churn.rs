//! Members that come and go all the time, here and on another server.

use std::collections::HashMap;

use futures::future::join_all;
use micro_plugin_api::stream::{ConsumeOptions, Delivery};
use micro_test_backends::Nats;

use crate::events::{Events, member, own, text};

const EVENTS: usize = 100;
const GROUPS: usize = 6;

/// Consumes all events as one group, whose members are on these servers one after the other: each
/// takes some, acknowledges all but the last, and leaves.
async fn come_and_go(servers: &[&Events], group: usize) {
    let options = ConsumeOptions {
        group: Some(format!("group-{group}")),
        ..member()
    };
    let mut deliveries = HashMap::new();
    let mut acknowledged = 0;
    for round in 0.. {
        let events = servers[round % servers.len()];
        let mut inbox = events.consume(&options).await;
        let takes = round % 20;
        for _ in 0..takes.min(EVENTS - acknowledged) {
            let delivery = inbox.next().await;
            once_more(&mut deliveries, &delivery);
            events.ack(&delivery).await;
            // Never again: no delivery has this number.
            deliveries.insert(text(&delivery.event), u32::MAX);
            acknowledged += 1;
        }
        if acknowledged == EVENTS {
            return inbox.quiet().await;
        }
        once_more(&mut deliveries, &inbox.next().await);
    }
}

/// One that got lost on its way to a member would count as delivered.
fn once_more(deliveries: &mut HashMap<String, u32>, delivery: &Delivery) {
    let payload = text(&delivery.event);
    let before = deliveries.entry(payload.clone()).or_default();
    assert_eq!(Some(delivery.attempt), before.checked_add(1), "{payload}");
    *before = delivery.attempt;
}

async fn churn(servers: &[&Events]) {
    let publish = async {
        for i in 0..EVENTS {
            servers[0].publish(&[&i.to_string()]).await;
        }
    };
    let groups = (0..GROUPS).map(|group| come_and_go(servers, group));
    tokio::join!(publish, join_all(groups));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_come_and_go_get_all_that_is_not_acknowledged() {
    let settings = own(Nats::shared().await);
    churn(&[&Events::open(&settings).await]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_come_and_go_on_two_servers_get_all_that_is_not_acknowledged() {
    let settings = own(Nats::shared().await);
    let (here, there) = (Events::open(&settings).await, Events::open(&settings).await);
    churn(&[&here, &there]).await;
}
