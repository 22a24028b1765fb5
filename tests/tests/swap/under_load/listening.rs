//! What is subscribed to, watched and consumed while modules are swapped: everything must come, once
//! and in order.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use futures::StreamExt as _;
use micro_proto::{
    broker::{Message, SubscribeRequest, broker_client::BrokerClient},
    events::{ConsumeRequest, Event, stream_client::StreamClient},
    registry::{self, registry_client::RegistryClient},
    store::{self, store_client::StoreClient},
};
use micro_tests::wait_for;
use tokio::task::JoinHandle;

use super::{
    driver::Door,
    traffic::{Counts, KINDS},
};

/// The name of the service that the driver registers, version after version.
pub(super) const REGISTERED: &str = "registered";

/// Everything that is listened to.
pub(super) struct Listening {
    subscribed: Listener,
    shared: Listener,
    consumed: Listener,
    written: Listener,
    registered: Listener,
}

impl Listening {
    pub(super) async fn start(door: &Door) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        let subscribe = async |queue: &str| {
            let request = SubscribeRequest {
                topic: "load".to_owned(),
                queue: queue.to_owned(),
            };
            let messages = BrokerClient::new(door.clone()).subscribe(request).await;
            messages.unwrap().into_inner()
        };
        let body = move |message: Message| text(&message.body);
        let consume = ConsumeRequest {
            topic: "load".to_owned(),
            auto_ack: true,
            ..ConsumeRequest::default()
        };
        let consumed = StreamClient::new(door.clone()).consume(consume).await;
        let written = store::WatchRequest::default();
        let written = StoreClient::new(door.clone()).watch(written).await;
        let registered = registry::WatchRequest {
            service: REGISTERED.to_owned(),
            options: None,
        };
        let registered = RegistryClient::new(door.clone()).watch(registered).await;
        Self {
            subscribed: Listener::new("messages", KINDS, subscribe("").await, body),
            shared: Listener::new("messages of a queue", KINDS, subscribe("q").await, body),
            consumed: Listener::new(
                "events",
                KINDS,
                consumed.unwrap().into_inner(),
                move |event: Event| text(&event.payload),
            ),
            written: Listener::new(
                "records",
                KINDS,
                written.unwrap().into_inner(),
                move |change: store::WatchResponse| text(&change.record?.value),
            ),
            registered: Listener::new(
                "services",
                1,
                registered.unwrap().into_inner(),
                |change: registry::Result| {
                    let created = change.action == "create";
                    created.then_some(format!("driver/{}", change.service?.version))
                },
            ),
        }
    }

    /// Waits until everything that was taken has come, and ends.
    pub(super) async fn end(self, counts: &Counts, registered: u64) {
        let counted = |count: &AtomicU64| count.load(Ordering::Relaxed);
        self.subscribed.end(counted(&counts.messages)).await;
        self.shared.end(counted(&counts.messages)).await;
        self.consumed.end(counted(&counts.events)).await;
        self.written.end(counted(&counts.writes)).await;
        self.registered.end(registered).await;
    }
}

/// One who listens all the time. What comes is `SENDER/NUMBER`: the numbers of each sender must come
/// in order, none twice, and `step` apart.
struct Listener {
    what: &'static str,
    came: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Listener {
    fn new<T: Send + 'static>(
        what: &'static str,
        step: u64,
        mut items: tonic::Streaming<T>,
        text: impl Fn(T) -> Option<String> + Send + 'static,
    ) -> Self {
        let came = Arc::new(AtomicU64::new(0));
        let task = tokio::spawn({
            let came = came.clone();
            async move {
                let mut last = BTreeMap::<String, u64>::new();
                while let Some(item) = items.next().await {
                    let Some(text) = text(item.unwrap()) else {
                        continue;
                    };
                    let (sender, number) = text.split_once('/').unwrap();
                    let number: u64 = number.parse().unwrap();
                    if let Some(before) = last.insert(sender.to_owned(), number) {
                        assert_eq!(before + step, number, "{what} of {sender}");
                    }
                    came.fetch_add(1, Ordering::Relaxed);
                }
                panic!("the stream of {what} ended");
            }
        });
        Self { what, came, task }
    }

    async fn end(self, sent: u64) {
        wait_for(format!("the last {} of {sent}", self.what), || async {
            let came = self.came.load(Ordering::Relaxed) >= sent;
            (came || self.task.is_finished()).then_some(())
        })
        .await;
        if self.task.is_finished() {
            self.task.await.unwrap();
            return;
        }
        self.task.abort();
        assert_eq!(self.came.load(Ordering::Relaxed), sent, "{}", self.what);
    }
}
