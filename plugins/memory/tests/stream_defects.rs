//! The suite of the stream notices what is wrong: the memory stream behind a wrapper that breaks
//! one rule each.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt as _, Stream as _, StreamExt as _, TryStreamExt as _, stream};
use micro_memory::{MemoryStream, Settings};
use micro_plugin_api::{
    BoxStream, Call, Result, Stream, StreamHandle,
    stream::{
        Acks, ConsumeOptions, Delivery, Event, HistoryQuery, NewEvent, Settlement, Start, Token,
    },
};
use micro_plugin_conformance::stream as suites;

/// What is wrong with a stream.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Defect {
    AnotherIdInHistory,
    PublishesOneByOne,
    SwallowsErrors,
    CutsPayloads,
    FoldsTopics,
    LosesMetadata,
    BeginsAtNow,
    GoesByTimestamps,
    FirstAfterTheWait,
    DeliversTwice,
    IgnoresGroups,
    KeepsWhatLeaversHad,
    AcksByItself,
    ForgetsAcks,
    ForgetsNacks,
    TakesAnyToken,
    RetriesForEver,
    RetriesOnceLess,
    NoBoundInFlight,
    NewestFirst,
    NoOffset,
    NeverEnds,
    MakesUpEvents,
}

/// A consumer of the stream beneath, which somebody else holds on to as well.
type Shared = Arc<Mutex<BoxStream<Result<Delivery>>>>;

struct Bad {
    inner: MemoryStream,
    defect: Defect,
    held: Mutex<Vec<Shared>>,
}

impl Bad {
    fn topic(&self, topic: &str) -> String {
        match self.defect {
            Defect::FoldsTopics => topic.to_lowercase(),
            _ => topic.to_owned(),
        }
    }

    fn options(&self, options: &ConsumeOptions) -> ConsumeOptions {
        let mut options = options.clone();
        match self.defect {
            Defect::BeginsAtNow => options.start = Start::Now,
            Defect::GoesByTimestamps => options.start = Start::Time(0),
            Defect::IgnoresGroups => options.group = None,
            Defect::AcksByItself => options.acks = Acks::Automatic,
            Defect::RetriesForEver => options.retry_limit = None,
            Defect::RetriesOnceLess => {
                options.retry_limit = options.retry_limit.map(|limit| limit.saturating_sub(1));
            }
            Defect::NoBoundInFlight => options.in_flight = ConsumeOptions::MAX_IN_FLIGHT,
            _ => {}
        }
        options
    }
}

impl Stream for Bad {
    async fn publish(&self, call: &Call, events: &[NewEvent]) -> Result<Vec<String>> {
        let mut events = events.to_vec();
        for event in &mut events {
            event.topic = self.topic(&event.topic);
            match self.defect {
                Defect::CutsPayloads => event.payload.truncate(1 << 16),
                Defect::LosesMetadata => event.metadata.clear(),
                _ => {}
            }
        }
        match self.defect {
            Defect::PublishesOneByOne => {
                let mut ids = Vec::new();
                for event in events {
                    ids.extend(self.inner.publish(call, &[event]).await?);
                    tokio::task::yield_now().await;
                }
                Ok(ids)
            }
            Defect::SwallowsErrors => {
                let published = self.inner.publish(call, &events).await;
                Ok(published.unwrap_or_default())
            }
            _ => self.inner.publish(call, &events).await,
        }
    }

    async fn consume(
        &self,
        call: &Call,
        topic: &str,
        options: &ConsumeOptions,
    ) -> Result<BoxStream<Result<Delivery>>> {
        let topic = self.topic(topic);
        let deliveries = self
            .inner
            .consume(call, &topic, &self.options(options))
            .await?;
        Ok(match (self.defect, options) {
            (
                Defect::FirstAfterTheWait,
                &ConsumeOptions {
                    acks: Acks::Manual { wait },
                    ..
                },
            ) => {
                // Not a wait: the defect is that this much time passes.
                let wait = tokio::time::sleep(wait).into_stream();
                let wait = wait.filter_map(|()| std::future::ready(None));
                wait.chain(deliveries).boxed()
            }
            (
                Defect::GoesByTimestamps,
                &ConsumeOptions {
                    start: Start::Time(time),
                    ..
                },
            ) => deliveries
                .try_filter(move |it| std::future::ready(it.event.timestamp >= time))
                .boxed(),
            (Defect::DeliversTwice, _) => deliveries
                .map_ok(|it| stream::iter([Ok(it.clone()), Ok(it)]))
                .try_flatten()
                .boxed(),
            (Defect::KeepsWhatLeaversHad, _) => {
                let shared = Arc::new(Mutex::new(deliveries));
                self.held.lock().expect("not poisoned").push(shared.clone());
                stream::poll_fn(move |context| poll(&shared, context)).boxed()
            }
            _ => deliveries,
        })
    }

    async fn settle(&self, call: &Call, settlements: &[Settlement]) -> Result<()> {
        let settlements: Vec<_> = settlements
            .iter()
            .filter(|it| match self.defect {
                Defect::ForgetsAcks => !it.acknowledged,
                Defect::ForgetsNacks => it.acknowledged,
                _ => true,
            })
            .cloned()
            .collect();
        let settled = self.inner.settle(call, &settlements).await;
        match self.defect {
            Defect::TakesAnyToken => Ok(()),
            _ => settled,
        }
    }

    async fn history(
        &self,
        call: &Call,
        topic: &str,
        query: &HistoryQuery,
    ) -> Result<BoxStream<Result<Event>>> {
        let mut query = *query;
        if self.defect == Defect::NoOffset {
            query.offset = 0;
        }
        let topic = self.topic(topic);
        let events = self.inner.history(call, &topic, &query).await?;
        Ok(match self.defect {
            Defect::AnotherIdInHistory => events
                .map_ok(|event| Event {
                    id: format!("{}0", event.id),
                    ..event
                })
                .boxed(),
            Defect::NewestFirst => {
                let mut events: Vec<_> = events.try_collect().await?;
                events.reverse();
                stream::iter(events.into_iter().map(Ok)).boxed()
            }
            Defect::NeverEnds => events.chain(stream::pending()).boxed(),
            Defect::MakesUpEvents => stream::repeat(Ok(Event::default())).boxed(),
            _ => events,
        })
    }
}

fn poll(shared: &Shared, context: &mut Context<'_>) -> Poll<Option<Result<Delivery>>> {
    let mut deliveries = shared.lock().expect("not poisoned");
    Pin::new(&mut *deliveries).poll_next(context)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_defect_of_a_stream_fails_its_rule() {
    for (defect, rule) in [
        (Defect::AnotherIdInHistory, "stream.publish.one-id"),
        (Defect::PublishesOneByOne, "stream.publish.batch-order"),
        (Defect::PublishesOneByOne, "stream.publish.all-or-nothing"),
        (Defect::SwallowsErrors, "stream.publish.limits"),
        (Defect::SwallowsErrors, "stream.topic.empty"),
        (Defect::CutsPayloads, "stream.publish.large"),
        (Defect::LosesMetadata, "stream.publish.round-trip"),
        (Defect::FoldsTopics, "stream.topic.any-text"),
        (Defect::BeginsAtNow, "stream.consume.from-zero"),
        (Defect::BeginsAtNow, "stream.group.replays"),
        (Defect::GoesByTimestamps, "stream.consume.from-time"),
        (Defect::FirstAfterTheWait, "stream.consume.first-at-once"),
        (Defect::DeliversTwice, "stream.consume.automatic"),
        (Defect::DeliversTwice, "stream.consume.broadcast"),
        (Defect::IgnoresGroups, "stream.group.shares"),
        (Defect::IgnoresGroups, "stream.group.remembers"),
        (
            Defect::KeepsWhatLeaversHad,
            "stream.group.leaver-gives-back",
        ),
        (Defect::AcksByItself, "stream.ack.wait"),
        (Defect::AcksByItself, "stream.group.unacknowledged"),
        (Defect::ForgetsAcks, "stream.ack.settles"),
        (Defect::ForgetsNacks, "stream.nack.again"),
        (Defect::TakesAnyToken, "stream.ack.token"),
        (Defect::RetriesForEver, "stream.retry.limit"),
        (Defect::RetriesForEver, "stream.retry.zero"),
        (Defect::RetriesOnceLess, "stream.retry.limit"),
        (Defect::NoBoundInFlight, "stream.ack.in-flight"),
        (Defect::NewestFirst, "stream.history.limit-and-offset"),
        (Defect::NoOffset, "stream.history.from"),
        (Defect::NeverEnds, "stream.history.ends"),
        (Defect::MakesUpEvents, "stream.history.ends"),
    ] {
        let open = async || {
            Ok(StreamHandle::new(Bad {
                inner: MemoryStream::new(&Settings::default()),
                defect,
                held: Mutex::default(),
            }))
        };
        let suite = suites::suite()
            .only(rule)
            .with_deadline(Duration::from_secs(3));
        let report = suite.run(open).await;
        report.assert_noticed(rule, &defect);
    }
}

#[tokio::test]
async fn the_oldest_events_go_when_there_are_too_many_bytes() {
    let settings = Settings {
        events_max_mb: 1,
        ..Settings::default()
    };
    let stream = MemoryStream::new(&settings);
    let call = Call::default();
    for i in 0..30 {
        let mut payload = vec![b' '; 100 << 10];
        payload[0] = i;
        stream
            .publish(&call, &[NewEvent::new("t", payload)])
            .await
            .unwrap();
    }
    let events = stream.history(&call, "t", &HistoryQuery::default()).await;
    let events: Vec<_> = events.unwrap().try_collect().await.unwrap();
    let kept: Vec<_> = events.iter().map(|event| event.payload[0]).collect();
    assert_eq!(kept, (20..30).collect::<Vec<u8>>());
    let nothing = Token("0-0-1".to_owned());
    stream
        .settle(&call, &[Settlement::ack(nothing)])
        .await
        .unwrap();
}
