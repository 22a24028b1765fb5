//! Messages and events while their backend fails.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use micro::{
    broker::Message,
    events::{ConsumeOptions, Events},
};
use micro_tests::wait_for;

use crate::{
    backend::Backend,
    platform::Platform,
    traffic::{Traffic, assert_unavailable},
};

/// The numbers that a group is given from now on, each acknowledged.
async fn consume(events: &Events) -> Arc<Mutex<BTreeSet<u64>>> {
    let options = ConsumeOptions::new()
        .group("workers")
        .manual_ack(Duration::from_secs(5));
    let consumer = events.consume("numbers", options).await;
    let mut consumer = consumer.expect("a consumer");
    let consumed = Arc::new(Mutex::new(BTreeSet::new()));
    let all = consumed.clone();
    tokio::spawn(async move {
        while let Some(event) = consumer.next().await {
            let event = event.expect("an event");
            let number = event.unmarshal().expect("a number");
            consumer.ack(&event);
            all.lock().expect("no panic").insert(number);
        }
        panic!("the consumer was ended");
    });
    consumed
}

pub(crate) async fn no_acknowledged_event_is_lost(backend: Backend) {
    let mut platform = Platform::start(backend, &["stream"]).await;
    let events = platform.client.events();
    let consumed = consume(&events).await;
    let traffic = Traffic::start(move |number| {
        let events = events.clone();
        async move { events.publish("numbers", &number).await.map(drop) }
    });
    platform.goes_through_faults(&traffic).await;

    let acknowledged = traffic.end().await;
    wait_for("every acknowledged event to be consumed", || {
        let consumed = consumed.lock().expect("no panic");
        let all = acknowledged.iter().all(|number| consumed.contains(number));
        async move { all.then_some(()) }
    })
    .await;
    assert!(platform.server.stop().await.success());
}

pub(crate) async fn a_subscription_goes_on(backend: Backend) {
    let mut platform = Platform::start(backend, &["broker"]).await;
    let broker = platform.client.broker();
    let last = Arc::new(AtomicU64::new(0));
    let mut subscription = broker.subscribe("numbers").await.expect("a subscription");
    let seen = last.clone();
    tokio::spawn(async move {
        loop {
            let message = subscription.next().await;
            let number = message.read_json().expect("a number");
            seen.fetch_max(number, Ordering::Relaxed);
        }
    });
    let sent = Arc::new(AtomicU64::new(0));
    let sending = sent.clone();
    let traffic = Traffic::start(move |number| {
        let (broker, sending) = (broker.clone(), sending.clone());
        async move {
            let message = Message::json(&number).expect("JSON");
            broker.publish("numbers", message).await?;
            sending.fetch_max(number, Ordering::Relaxed);
            Ok(())
        }
    });
    platform.goes_through_faults(&traffic).await;

    let before = sent.load(Ordering::Relaxed);
    wait_for("messages of after the crash", || {
        let seen = last.load(Ordering::Relaxed);
        async move { (seen > before).then_some(()) }
    })
    .await;
    traffic.end().await;
    assert!(platform.server.stop().await.success());
}

pub(crate) async fn a_server_waits_for_it(backend: Backend) {
    let mut platform = Platform::start_without(backend, &["broker", "stream"]).await;
    let (broker, events) = (platform.client.broker(), platform.client.events());
    let message = || Message::json(&1).expect("JSON");
    let error = broker
        .publish("t", message())
        .await
        .expect_err("nobody is there");
    assert_unavailable(&error);
    let error = events.publish("t", &1).await.expect_err("nobody is there");
    assert_unavailable(&error);

    platform.backend.restart().await;
    platform.is_ready().await;
    let begun = Instant::now();
    wait_for("a message and an event", || async {
        broker.publish("t", message()).await.ok()?;
        events.publish("t", &1).await.ok()
    })
    .await;
    eprintln!(
        "a backend that came late: calls {:?} after readiness",
        begun.elapsed()
    );
    assert!(platform.server.stop().await.success());
}
