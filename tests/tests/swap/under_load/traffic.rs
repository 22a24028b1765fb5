//! Five hundred calls a second, of every kind that changes something or reads what was changed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use micro_proto::{
    broker::{self, broker_client::BrokerClient},
    events::{self, stream_client::StreamClient},
    registry::{GetRequest, registry_client::RegistryClient},
    store::{ReadRequest, Record, WriteRequest, store_client::StoreClient},
};
use micro_tests::{PATIENCE, wait_for};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep_until, timeout},
};

use super::driver::Door;

/// How many callers there are: one that waits holds up no other.
const CALLERS: u64 = 25;
/// How often each of them calls: five hundred calls a second together.
const PACE: Duration = Duration::from_millis(50);
/// How far a caller may be behind and still make up for it; a machine that is too slow is not given
/// more and more to do.
const BEHIND: Duration = Duration::from_secs(1);
/// The kinds of calls, which each caller makes in turn: the numbers of one kind are as far apart.
pub(super) const KINDS: u64 = 5;

/// What was taken so far.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) calls: AtomicU64,
    pub(super) messages: AtomicU64,
    pub(super) events: AtomicU64,
    pub(super) writes: AtomicU64,
}

/// Calls that go on until they are ended.
pub(super) struct Traffic {
    door: Door,
    stop: Arc<AtomicBool>,
    pub(super) counts: Arc<Counts>,
    callers: Vec<JoinHandle<String>>,
}

impl Traffic {
    pub(super) fn start(door: &Door) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let counts = Arc::<Counts>::default();
        let callers = (0..CALLERS)
            .map(|number| {
                let caller = Caller {
                    number,
                    stop: stop.clone(),
                    counts: counts.clone(),
                };
                tokio::spawn(caller.call(door.clone()))
            })
            .collect();
        Self {
            door: door.clone(),
            stop,
            counts,
            callers,
        }
    }

    /// Waits until this many more calls were answered.
    pub(super) async fn go_on(&self, calls: u64) {
        let until = self.counts.calls.load(Ordering::Relaxed) + calls;
        wait_for("calls to be answered", || async {
            // A caller that failed says why when it is joined.
            let failed = self.callers.iter().any(JoinHandle::is_finished);
            (failed || self.counts.calls.load(Ordering::Relaxed) >= until).then_some(())
        })
        .await;
    }

    /// Ends them: none may have failed, and what was written last must be there.
    pub(super) async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        let mut store = StoreClient::new(self.door);
        for (number, caller) in self.callers.into_iter().enumerate() {
            let last = timeout(PATIENCE, caller).await.unwrap().unwrap();
            assert_eq!(read(&mut store, &format!("caller-{number}")).await, last);
        }
    }
}

/// One who calls all the time, each time something else.
struct Caller {
    number: u64,
    stop: Arc<AtomicBool>,
    counts: Arc<Counts>,
}

impl Caller {
    /// Gives the last value that it wrote.
    async fn call(self, door: Door) -> String {
        let mut store = StoreClient::new(door.clone());
        let mut registry = RegistryClient::new(door.clone());
        let mut broker = BrokerClient::new(door.clone());
        let mut events = StreamClient::new(door);
        let key = format!("caller-{}", self.number);
        let mut next = Instant::now();
        let mut last = String::new();
        for turn in 0_u64.. {
            // To the end of a turn through all kinds.
            if turn % KINDS == 0 && self.stop.load(Ordering::Relaxed) {
                break;
            }
            next = (next + PACE).max(Instant::now() - BEHIND);
            sleep_until(next).await;
            let text = format!("{}/{turn}", self.number);
            match turn % KINDS {
                0 => {
                    let record = Record {
                        key: key.clone(),
                        value: text.clone().into(),
                        ..Record::default()
                    };
                    let request = WriteRequest {
                        record: Some(record),
                        options: None,
                    };
                    store.write(request).await.unwrap();
                    self.counts.writes.fetch_add(1, Ordering::Relaxed);
                    last = text;
                }
                1 => assert_eq!(read(&mut store, &key).await, last),
                2 => {
                    let request = GetRequest {
                        service: "store".to_owned(),
                        options: None,
                    };
                    let found = registry.get_service(request).await.unwrap();
                    assert_eq!(found.into_inner().services[0].nodes.len(), 1);
                }
                3 => {
                    let message = broker::Message {
                        body: text.into(),
                        ..broker::Message::default()
                    };
                    let request = broker::PublishRequest {
                        topic: "load".to_owned(),
                        message: Some(message),
                    };
                    broker.publish(request).await.unwrap();
                    self.counts.messages.fetch_add(1, Ordering::Relaxed);
                }
                _ => {
                    let request = events::PublishRequest {
                        topic: "load".to_owned(),
                        payload: text.into(),
                        ..events::PublishRequest::default()
                    };
                    events.publish(request).await.unwrap();
                    self.counts.events.fetch_add(1, Ordering::Relaxed);
                }
            }
            self.counts.calls.fetch_add(1, Ordering::Relaxed);
        }
        last
    }
}

async fn read(store: &mut StoreClient<Door>, key: &str) -> String {
    let request = ReadRequest {
        key: key.to_owned(),
        options: None,
    };
    let records = store.read(request).await.unwrap().into_inner().records;
    String::from_utf8(records[0].value.to_vec()).unwrap()
}
