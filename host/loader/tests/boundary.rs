//! What the boundary promises of calls, streams, values and drops, seen through a real library.
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::{Duration, Instant},
};

use bytes::Bytes;
use common::{Place, call, eventually, soon};
use futures::{FutureExt, StreamExt, poll, stream};
use micro_loader::Instance;
use micro_plugin_api::{
    BlobHandle, Code, Error, Result, StoreHandle, TraceContext,
    blob::{BlobKey, BlobMeta, BlobQuery},
    registry::{Change, Filter, Node, Service},
    runtime::{InstanceKey, LogOptions, Spec, StopOptions},
    store::{Commit, ListQuery, Precondition, Put, Table},
};
use serde_json::json;

const TABLE: Table<'static> = Table::new("d", "t");

async fn zoo() -> (Place, Instance, StoreHandle) {
    let place = Place::new();
    let instance = place.open(json!({"slow_ms": 200})).await;
    let store = instance.store().unwrap();
    (place, instance, store)
}

fn commit(key: &str) -> Commit {
    Commit::new().put(TABLE, key, Precondition::Any, Put::default())
}

fn list(prefix: &str) -> ListQuery<'_> {
    ListQuery {
        prefix,
        ..ListQuery::default()
    }
}

fn panicked<T: std::fmt::Debug>(outcome: Result<T>, text: &str) {
    let error = outcome.unwrap_err();
    assert_eq!(error.code(), Code::PANIC, "{error}");
    assert!(error.message().contains(text), "{error}");
}

#[tokio::test]
async fn panics_become_errors_and_the_instance_goes_on() {
    let (_place, instance, store) = zoo().await;
    let call = call();
    // Polled on the plugin's runtime, and on ours.
    panicked(
        store.read(&call, TABLE, "panic").await,
        "asked to panic in a poll",
    );
    panicked(
        store.list(&call, TABLE, &list("panic")).await,
        "asked to panic in a poll",
    );
    // Where it happened is part of the error.
    panicked(store.read(&call, TABLE, "panic").await, "behaviour.rs:");
    // Before there is a future.
    let query = list("panic-at-once");
    panicked(
        store.list(&call, TABLE, &query).await,
        "asked to panic at once",
    );
    // With a payload whose own drop panics.
    panicked(store.read(&call, TABLE, "panic-twice").await, "no text");
    panicked(
        store.list(&call, TABLE, &list("panic-twice")).await,
        "no text",
    );
    assert_eq!(instance.panics(), 6);
    assert_eq!(store.read(&call, TABLE, "tiger").await, Ok(None));
    let unhealthy = instance
        .health(&call)
        .await
        .into_iter()
        .find(|(_, h)| h.is_err());
    assert_eq!(unhealthy, None);
}

#[tokio::test]
async fn panics_in_streams_end_them() {
    let (place, instance, _) = zoo().await;
    let blob = instance.blob().unwrap();
    let (_, chunks) = blob
        .read(&call(), BlobKey::new("n", "panic"))
        .await
        .unwrap();
    let items: Vec<_> = soon(chunks.collect()).await;
    assert_eq!(items.len(), 3);
    assert!(items[..2].iter().all(Result::is_ok));
    panicked(items[2].clone(), "asked to panic in a stream");
    place.expect("stream ended inside the runtime").await;
    // The same for a stream that is polled inline.
    let filter = Filter {
        name: Some("panic".to_owned()),
        ..Filter::default()
    };
    let changes = instance.registry().unwrap().watch(&call(), &filter).await;
    let items: Vec<_> = soon(changes.unwrap().collect()).await;
    assert_eq!(items[0], Ok(Change::Synced));
    panicked(items[1].clone(), "asked to panic in a watch");
    assert_eq!(items.len(), 2);
    place.expect("watch ended inside the runtime").await;
    assert_eq!(instance.panics(), 2);
}

#[tokio::test]
async fn errors_of_streams_follow_what_came_before() {
    let (_place, instance, _) = zoo().await;
    let blob = instance.blob().unwrap();
    let (info, chunks) = blob.read(&call(), BlobKey::new("n", "fail")).await.unwrap();
    assert_eq!(info.key, "fail");
    let items: Vec<_> = soon(chunks.collect()).await;
    assert_eq!(items.len(), 3);
    assert_eq!(items[2], Err(Error::unavailable("the stream dried up")));
}

#[tokio::test]
async fn dropped_futures_are_dropped_inside_the_plugins_runtime() {
    let (place, _instance, store) = zoo().await;
    let call = call();
    let query = list("hang");
    {
        let mut inline = pin!(store.list(&call, TABLE, &query));
        assert!(poll!(&mut inline).is_pending());
    }
    // Inline: it is dropped with ours, at once.
    assert_eq!(
        place.journal()[1..],
        ["hanging", "cancelled inside the runtime"]
    );
    // A panic in that drop goes nowhere.
    let query = list("panic-in-drop");
    {
        let mut inline = pin!(store.list(&call, TABLE, &query));
        assert!(poll!(&mut inline).is_pending());
    }
    assert_eq!(store.read(&call, TABLE, "tiger").await, Ok(None));
}

#[tokio::test]
async fn a_dropped_read_is_aborted() {
    let (place, _instance, store) = zoo().await;
    let call = call();
    {
        let mut read = pin!(store.read(&call, TABLE, "hang"));
        assert!(poll!(&mut read).is_pending());
        place.expect("hanging").await;
    }
    place.expect("cancelled inside the runtime").await;
    {
        let mut read = pin!(store.read(&call, TABLE, "panic-in-drop"));
        assert!(poll!(&mut read).is_pending());
        eventually("second hanging", || {
            place
                .journal()
                .iter()
                .filter(|line| *line == "hanging")
                .count()
                == 2
        })
        .await;
    }
    assert_eq!(soon(store.read(&call, TABLE, "tiger")).await, Ok(None));
}

#[tokio::test]
async fn a_dropped_write_finishes_within_its_deadline() {
    let (place, _instance, store) = zoo().await;
    let call = call().with_timeout(Duration::from_secs(20));
    let slow = commit("slow");
    {
        let mut write = pin!(store.commit(&call, &slow));
        assert!(poll!(&mut write).is_pending());
        place.expect("writing").await;
    }
    place.expect("write finished inside the runtime").await;
    assert!(
        !place
            .journal()
            .iter()
            .any(|line| line.starts_with("write given up"))
    );
}

#[tokio::test]
async fn a_dropped_write_ends_with_its_deadline() {
    let (place, _instance, store) = zoo().await;
    let call = call().with_timeout(Duration::from_millis(300));
    let never = commit("hang");
    {
        let mut write = pin!(store.commit(&call, &never));
        assert!(poll!(&mut write).is_pending());
        place.expect("hanging").await;
    }
    place.expect("write given up inside the runtime").await;
}

#[tokio::test]
async fn a_deadline_ends_a_call_wherever_it_hangs() {
    let (_place, _instance, store) = zoo().await;
    let short = || call().with_timeout(Duration::from_millis(60));
    let deadline = |outcome: Result<()>| {
        assert_eq!(outcome.unwrap_err().code(), Code::DEADLINE);
    };
    deadline(soon(store.read(&short(), TABLE, "hang")).await.map(drop));
    deadline(
        soon(store.list(&short(), TABLE, &list("hang")))
            .await
            .map(drop),
    );
    deadline(
        soon(store.commit(&short(), &commit("hang")))
            .await
            .map(drop),
    );
    // One that holds the plugin's only worker, so that the plugin's own timer cannot fire.
    let begun = Instant::now();
    deadline(soon(store.read(&short(), TABLE, "stuck")).await.map(drop));
    assert!(begun.elapsed() < Duration::from_millis(4500));
}

#[tokio::test]
async fn a_hop_that_blocks_does_not_hold_up_its_caller() {
    let (_place, _instance, store) = zoo().await;
    let call = call();
    let mut read = pin!(store.read(&call, TABLE, "stuck"));
    // The test's one thread gets here although the plugin's sleeps.
    let begun = Instant::now();
    assert!(poll!(&mut read).is_pending());
    assert!(begun.elapsed() < Duration::from_millis(4500));
    assert_eq!(soon(read).await, Ok(None));
}

#[tokio::test]
async fn large_values_cross_by_reference_and_small_ones_are_copied() {
    let (_place, instance, store) = zoo().await;
    let address = |record: &micro_plugin_api::store::Record| -> usize {
        record.metadata["address"].parse().unwrap()
    };
    let large = store.read(&call(), TABLE, "large").await.unwrap().unwrap();
    assert_eq!(large.value.len(), 1 << 20);
    assert!(large.value.iter().all(|byte| *byte == 42));
    assert_eq!(large.value.as_ptr() as usize, address(&large));
    let small = store.read(&call(), TABLE, "small").await.unwrap().unwrap();
    assert_eq!(small.value.len(), 100);
    assert_ne!(small.value.as_ptr() as usize, address(&small));
    // They outlive the instance that gave them.
    drop(store);
    soon(instance.shutdown(Duration::from_secs(20)))
        .await
        .unwrap();
    assert!(large.value.iter().all(|byte| *byte == 42));
}

#[tokio::test]
async fn calls_and_errors_cross_whole() {
    let (_place, _instance, store) = zoo().await;
    let trace = TraceContext {
        traceparent: "00-1-2-01".to_owned(),
        tracestate: "a=b".to_owned(),
    };
    let call = call()
        .with_timeout(Duration::from_secs(9))
        .with_trace(trace);
    let told = store.databases(&call).await.unwrap();
    assert_eq!(told, ["test", "00-1-2-01", "a=b", "true"]);
    let error = store.read(&call, TABLE, "fail").await.unwrap_err();
    let sent = Error::conflict("the cage is taken")
        .with_retryable(true)
        .with_detail(r#"{"cage":7}"#);
    assert_eq!(error, sent);
}

#[tokio::test]
async fn streams_wait_for_their_reader_and_end_with_it() {
    let (place, instance, _) = zoo().await;
    let blob = instance.blob().unwrap();
    let (_, chunks) = blob
        .read(&call(), BlobKey::new("n", "hundred"))
        .await
        .unwrap();
    let sizes: Vec<_> = soon(chunks.map(|chunk| chunk.unwrap().len()).collect()).await;
    assert_eq!(sizes, [4096; 100]);
    let (_, mut chunks) = blob
        .read(&call(), BlobKey::new("n", "endless"))
        .await
        .unwrap();
    for _ in 0..100 {
        soon(chunks.next()).await.unwrap().unwrap();
    }
    drop(chunks);
    eventually("both streams ended", || {
        let ended = |line: &&String| *line == "stream ended inside the runtime";
        place.journal().iter().filter(ended).count() == 2
    })
    .await;
    // A watch that is polled inline, and that nobody would wake.
    let registry = instance.registry().unwrap();
    let mut changes = registry.watch(&call(), &Filter::default()).await.unwrap();
    assert_eq!(soon(changes.next()).await, Some(Ok(Change::Synced)));
    assert!(changes.next().now_or_never().is_none());
    drop(changes);
    place.expect("watch ended inside the runtime").await;
}

async fn write(blob: &BlobHandle, body: Vec<Result<Bytes>>) -> Result<u64> {
    let body = stream::iter(body).then(|chunk| async {
        // Not a wait: a timer needs the server's own runtime, although the plugin's thread polls it.
        tokio::time::sleep(Duration::from_millis(1)).await;
        chunk
    });
    let meta = BlobMeta {
        content_type: "text/plain".to_owned(),
        public: true,
    };
    let key = BlobKey::new("n", "k");
    let info = soon(blob.write(&call(), key, &meta, Box::pin(body))).await?;
    assert_eq!(info.meta, meta);
    Ok(info.size)
}

#[tokio::test]
async fn a_body_streams_into_the_plugin() {
    let (_place, instance, _) = zoo().await;
    let blob = instance.blob().unwrap();
    let chunks: Vec<_> = (0..100).map(|_| Ok(Bytes::from(vec![1; 2000]))).collect();
    assert_eq!(write(&blob, chunks).await, Ok(200_000));
    let failure = Error::unavailable("the client is gone");
    let chunks = vec![Ok(Bytes::from_static(b"x")), Err(failure.clone())];
    assert_eq!(write(&blob, chunks).await, Err(failure));
    // A panic of the server's own code in there is contained as well.
    let body = stream::poll_fn(|_| -> Poll<Option<Result<Bytes>>> { panic!("a bad body") });
    let meta = BlobMeta::default();
    let key = BlobKey::new("n", "k");
    let outcome = soon(blob.write(&call(), key, &meta, Box::pin(body))).await;
    panicked(outcome, "a bad body");
}

#[tokio::test]
async fn a_blob_write_that_is_dropped_is_cancelled() {
    let (place, instance, _) = zoo().await;
    let blob = instance.blob().unwrap();
    let asked = Arc::new(AtomicBool::new(false));
    let flag = asked.clone();
    let body = stream::poll_fn(move |_| {
        flag.store(true, Ordering::SeqCst);
        Poll::Pending
    });
    let (call, meta) = (call(), BlobMeta::default());
    {
        let mut write = pin!(blob.write(&call, BlobKey::new("n", "k"), &meta, Box::pin(body)));
        assert!(poll!(&mut write).is_pending());
        eventually("poll of the body", || asked.load(Ordering::SeqCst)).await;
    }
    place.expect("blob write ended inside the runtime").await;
    let query = BlobQuery::default();
    assert!(blob.list(&call, &query).await.unwrap().blobs.is_empty());
}

#[tokio::test]
async fn a_registry_crosses_as_documents() {
    let (_place, instance, _) = zoo().await;
    let registry = instance.registry().unwrap();
    let service = Service {
        domain: "micro".to_owned(),
        name: "helloworld".to_owned(),
        version: "latest".to_owned(),
        nodes: vec![Node {
            id: "n-1".to_owned(),
            address: "127.0.0.1:1".to_owned(),
            ..Node::default()
        }],
        ..Service::default()
    };
    let ttl = Duration::from_millis(1500);
    registry
        .register(&call(), &service, Some(ttl))
        .await
        .unwrap();
    let listed = registry.list(&call(), &Filter::default()).await.unwrap();
    assert_eq!(listed[0].nodes, service.nodes);
    assert_eq!(listed[0].metadata["ttl"], "1500000000");
    registry.deregister(&call(), &service).await.unwrap();
    let bad = Service {
        name: "panic".to_owned(),
        ..Service::default()
    };
    panicked(
        registry.register(&call(), &bad, None).await,
        "asked to panic",
    );
}

#[tokio::test]
async fn a_runtime_crosses_as_documents() {
    let (_place, instance, _) = zoo().await;
    let runtime = instance.runtime().unwrap();
    let key = InstanceKey {
        namespace: "n".to_owned(),
        name: "ape".to_owned(),
        version: "1".to_owned(),
    };
    let spec = Spec {
        key: key.clone(),
        command: vec!["a".to_owned(), "b".to_owned()],
        ..Spec::default()
    };
    let started = runtime.start(&call(), &spec).await.unwrap();
    assert_eq!(started.key, key);
    assert_eq!(
        serde_json::to_value(&started.state).unwrap(),
        json!({"exited": {"code": 2, "signal": null, "message": null}})
    );
    let error = runtime
        .stop(&call(), &key, &StopOptions { grace_ms: 7 })
        .await
        .unwrap_err();
    assert_eq!(
        error,
        Error::not_found("ape@1 in n is not in the zoo, also not for 7 ms")
    );
    let listed = runtime.list(&call(), Some("n")).await.unwrap();
    assert_eq!(listed[0].key.namespace, "n");
    let listed = runtime.list(&call(), None).await.unwrap();
    assert_eq!(listed[0].key.namespace, "every");
    let options = LogOptions {
        tail: Some(100),
        ..LogOptions::default()
    };
    let lines = runtime.logs(&call(), &key, &options).await.unwrap();
    let lines: Vec<_> = soon(lines.map(|line| line.unwrap().text).collect()).await;
    assert_eq!(lines.len(), 100);
    assert_eq!(lines[99], "ape 99");
    let changes: Vec<_> = runtime.watch(&call()).await.unwrap().collect().await;
    assert_eq!(changes.len(), 1);
}

#[tokio::test]
async fn the_last_handle_drops_the_instance() {
    let (place, instance, store) = zoo().await;
    drop(instance);
    assert_eq!(store.read(&call(), TABLE, "tiger").await, Ok(None));
    assert!(
        !place
            .journal()
            .iter()
            .any(|line| line.starts_with("dropped"))
    );
    drop(store);
    place.expect("dropped inside the runtime").await;
    let dropped = |line: &&String| line.starts_with("dropped");
    // One constructor for four modules is one value.
    assert_eq!(place.journal().iter().filter(dropped).count(), 1);
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a caller without tokio is the point here"
)]
fn a_call_needs_no_runtime_of_its_callers() {
    let place = Place::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let instance = runtime.block_on(place.open(json!({"slow_ms": 20})));
    drop(runtime);
    let store = instance.store().unwrap();
    let call = call().with_timeout(Duration::from_secs(20));
    let read = store.read(&call, TABLE, "slow");
    assert_eq!(futures::executor::block_on(read), Ok(None));
}
