//! A server that is killed: what it acknowledged is there, and the other runs its services.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::SystemTime,
};

use micro::{
    Client,
    events::{ConsumeOptions, NewEvent},
    store::Record,
};
use micro_tests::{PATIENCE, wait_for};
use tokio::time::timeout;

use crate::platform::{Platform, answers, client, is_alive};

/// How many acknowledgements of each kind the kill waits for, at least.
const ACKS: u32 = 100;

/// Writes the numbers from zero on, one after another, until a write is not acknowledged.
/// `acknowledged` is how many were.
async fn write(client: Client, kind: usize, acknowledged: Arc<AtomicU32>) {
    for number in 0_u32.. {
        let written = match kind {
            0 => {
                client
                    .store()
                    .write(Record::new(format!("k/{number}"), "value"))
                    .await
            }
            1 => client.config().set(format!("c.v{number}"), number).await,
            _ => {
                let event = NewEvent::new("numbers", &number).unwrap();
                client.events().publish_event(event).await.map(drop)
            }
        };
        if written.is_err() {
            return;
        }
        acknowledged.store(number + 1, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_takes_nothing_with_it() {
    let platform = Platform::new();
    let (one, two) = platform.two_servers().await;
    let counts: [Arc<AtomicU32>; 3] = Default::default();
    let writers: Vec<_> = (0..3)
        .map(|kind| tokio::spawn(write(client(&one), kind, counts[kind].clone())))
        .collect();
    wait_for("acknowledgements of each kind", || async {
        let enough = |count: &Arc<AtomicU32>| count.load(Ordering::SeqCst) >= ACKS;
        counts.iter().all(enough).then_some(())
    })
    .await;
    let _one = tokio::task::spawn_blocking(|| one.crash()).await.unwrap();
    for writer in writers {
        timeout(PATIENCE, writer).await.unwrap().unwrap();
    }

    let [records, values, events] = counts.map(|count| count.load(Ordering::SeqCst));
    let client = client(&two);
    for number in 0..records {
        let found = client.store().read(format!("k/{number}")).await.unwrap();
        assert_eq!(found.unwrap().value, "value");
    }
    let config = client.config().get("c").await.unwrap();
    for number in 0..values {
        assert_eq!(config.json()[format!("v{number}")], number);
    }
    let all = ConsumeOptions::new().offset(SystemTime::UNIX_EPOCH);
    let mut consumer = client.events().consume("numbers", all).await.unwrap();
    let mut missing: BTreeSet<u32> = (0..events).collect();
    while !missing.is_empty() {
        let event = timeout(PATIENCE, consumer.next()).await;
        let event = event.unwrap_or_else(|_| panic!("{missing:?} are gone"));
        missing.remove(&event.unwrap().unwrap().unmarshal().unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn services_of_a_server_that_dies_or_stops_are_run_by_the_other() {
    let platform = Platform::new();
    let (one, two) = platform.two_servers().await;
    one.run_source([platform.source()]).await.success();
    let first = platform.start_number(1).await;
    let one = tokio::task::spawn_blocking(|| one.crash()).await.unwrap();
    assert!(is_alive(first), "a crash leaves services alone");

    // It is the other's when the lease has ended, and once.
    let second = platform.start_number(2).await;
    wait_for("it to be said to run", || async {
        let shown = two.micro(["status"]).await.success();
        shown.contains("running").then_some(())
    })
    .await;
    answers(&two, "hello").await;

    // What the dead one left running ends when that is back; its service stays where it is now.
    let one = one.start().await;
    wait_for("the first process to end", || async {
        (!is_alive(first)).then_some(())
    })
    .await;
    one.login().await;
    answers(&one, "hello").await;
    assert!(is_alive(second));
    assert_eq!(platform.pids(), [first, second]);

    // A stop hands them on.
    two.stopped().await;
    platform.start_number(3).await;
    assert!(!is_alive(second));
    answers(&one, "hello").await;
    one.micro(["kill", "hello"]).await.success();
    assert_eq!(platform.pids().len(), 3);
    assert!(platform.pids().into_iter().all(|pid| !is_alive(pid)));
}
