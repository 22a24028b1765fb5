//! Members that come in each other's way.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, poll};
use tokio::sync::Semaphore;

use super::{group::Claim, *};
use crate::stream::Acks;

const PATIENCE: Duration = Duration::from_secs(60);

/// A log of one event, at position 0, that is read when the gate lets somebody through.
struct Gated(Semaphore);

impl Gated {
    fn closed() -> Arc<Self> {
        Arc::new(Self(Semaphore::new(0)))
    }

    fn batch() -> Batch {
        Batch {
            events: vec![Event::default()],
            next: 1,
        }
    }
}

impl EventLog for Gated {
    async fn read(&self, _: &str, from: u64, _: usize) -> Result<Batch> {
        let _passed = self.0.acquire().await;
        Ok(match from {
            0 => Self::batch(),
            next => Batch {
                events: Vec::new(),
                next,
            },
        })
    }

    async fn seek(&self, _: &str, _: u64, _: u64) -> Result<u64> {
        Ok(0)
    }

    fn end(&self) -> u64 {
        0
    }
}

fn member() -> ConsumeOptions {
    ConsumeOptions {
        group: Some("group".to_owned()),
        acks: Acks::Manual { wait: PATIENCE },
        ..ConsumeOptions::default()
    }
}

#[tokio::test]
async fn a_member_that_is_not_polled_holds_up_nobody() {
    let log = Gated::closed();
    let consumers = Consumers::new(log.clone());
    let mut asleep = consumers.consume("topic", &member()).await.unwrap();
    let mut awake = consumers.consume("topic", &member()).await.unwrap();
    // Its read has begun when nobody looks at it any more.
    assert!(poll!(asleep.next()).is_pending());
    tokio::task::yield_now().await;
    let next = tokio::spawn(async move { awake.next().await });
    tokio::task::yield_now().await;
    log.0.add_permits(2);
    let delivery = tokio::time::timeout(PATIENCE, next).await;
    let delivery = delivery.expect("not in time").unwrap().unwrap().unwrap();
    assert_eq!(delivery.event.position, 0);
    drop(asleep);
}

#[tokio::test]
async fn what_was_read_for_a_member_that_has_left_is_there_for_others() {
    let source = OfLog {
        log: Gated::closed(),
        topic: "topic".to_owned(),
    };
    let group = Group::new("topic", None, 0, source);
    let (here, gone) = (1, 2);
    group.join(here, &member());
    group.reserve(gone, &Gated::batch());
    let claim = group.claim(here, 10, Instant::now());
    assert!(matches!(claim, Claim::Again(positions) if positions == [0]));
}
