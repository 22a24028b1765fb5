//! A new build of a plugin of which two cannot be open at once: the folder that the file plugin locks.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use micro_modules::Module;
use micro_plugin_api::{
    Bytes,
    blob::{BlobKey, BlobMeta},
    stream::{Acks, ConsumeOptions, Delivery, NewEvent, Settlement, Start},
};

use crate::followed::{Followed, TABLE, call, put};

const ALL: [Module; 3] = [Module::Store, Module::Blob, Module::Stream];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_wait_and_none_fails() {
    let followed = Followed::start(&[]).await;
    let key = BlobKey::new("micro", "blob");
    let body = futures::stream::iter([Ok(Bytes::from_static(b"bytes"))]).boxed();
    let blob = followed.modules.blob();
    let written = blob.write(&call(), key, &BlobMeta::default(), body).await;
    written.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..4)
        .map(|caller| {
            let (store, blob) = (followed.modules.store(), followed.modules.blob());
            let stop = stop.clone();
            tokio::spawn(async move {
                let mut turn = 0_u32;
                while !stop.load(Ordering::Relaxed) {
                    let (name, text) = (format!("{caller}"), turn.to_string());
                    store.commit(&call(), &put(&name, &text)).await.unwrap();
                    let record = store.read(&call(), TABLE, &name).await.unwrap().unwrap();
                    assert_eq!(record.value, text);
                    let (_, body) = blob.read(&call(), key).await.unwrap();
                    let bytes: Vec<Bytes> = body.try_collect().await.unwrap();
                    assert_eq!(bytes.concat(), b"bytes");
                    turn += 1;
                }
                turn
            })
        })
        .collect();
    for _ in 0..3 {
        followed.rebuild("file");
        followed.reload_well(false, &ALL).await;
    }
    // Another setting is another instance of the same folder.
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        assert!(caller.await.unwrap() > 0);
    }
    followed.end().await;
}

async fn settle(followed: &Followed, deliveries: &[Delivery]) {
    let settlements: Vec<_> = deliveries
        .iter()
        .map(|delivery| Settlement::ack(delivery.token.clone()))
        .collect();
    let stream = followed.modules.stream();
    stream.settle(&call(), &settlements).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumers_go_on_where_they_are() {
    let followed = Followed::start(&[]).await;
    let stream = followed.modules.stream();
    let manual = ConsumeOptions {
        start: Start::Time(0),
        acks: Acks::Manual {
            wait: Duration::from_secs(600),
        },
        ..ConsumeOptions::default()
    };
    let in_group = ConsumeOptions {
        group: Some("group".to_owned()),
        ..manual.clone()
    };
    let automatic = ConsumeOptions::default();
    let mut consumers = Vec::new();
    for options in [&automatic, &manual, &in_group] {
        consumers.push(stream.consume(&call(), "topic", options).await.unwrap());
    }
    let publish = async |numbers: std::ops::Range<u32>| {
        let events: Vec<_> = numbers
            .map(|number| NewEvent::new("topic", number.to_string()))
            .collect();
        stream.publish(&call(), &events).await.unwrap();
    };
    publish(0..6).await;
    let mut open = Vec::new();
    for (at, consumer) in consumers.iter_mut().enumerate() {
        let mut got = Vec::new();
        for number in 0..4 {
            let delivery = consumer.next().await.unwrap().unwrap();
            assert_eq!(delivery.event.payload, number.to_string());
            got.push(delivery);
        }
        if at > 0 {
            // Two are dealt with before the swap; of two the consumer has yet to say.
            settle(&followed, &got[..2]).await;
            open.extend(got.split_off(2));
        }
    }
    followed.rebuild("file");
    followed.reload_well(false, &ALL).await;
    publish(6..8).await;
    for consumer in &mut consumers {
        for number in 4..8 {
            let delivery = consumer.next().await.unwrap().unwrap();
            assert_eq!(delivery.event.payload, number.to_string());
        }
    }
    settle(&followed, &open).await;
    // Nobody gets again what was settled, when the group is left and joined.
    drop(consumers);
    let mut member = stream.consume(&call(), "topic", &in_group).await.unwrap();
    let mut again = BTreeSet::new();
    for _ in 4..8 {
        let delivery = member.next().await.unwrap().unwrap();
        again.insert(String::from_utf8(delivery.event.payload.to_vec()).unwrap());
    }
    assert_eq!(
        again,
        BTreeSet::from(["4", "5", "6", "7"].map(str::to_owned))
    );
    assert!(member.next().now_or_never().is_none());
    drop(member);
    followed.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_old_one_is_opened_again_if_the_new_one_cannot_be() {
    let mut followed = Followed::start(&[]).await;
    let store = followed.modules.store();
    store.commit(&call(), &put("key", "value")).await.unwrap();
    let mut changes = store.watch(&call(), TABLE, "").await.unwrap();
    // Another folder, in all of its modules: it holds nothing of this platform.
    for slot in ["store", "blob", "stream"] {
        followed.set(slot, "plugin = \"file\"\ndir = \"elsewhere\"");
    }
    let outcome = followed.reload(false).await;
    assert_eq!(outcome.len(), 3);
    for swapped in outcome {
        let error = swapped.error.unwrap().to_string();
        assert!(
            error.contains("--copy") && error.contains("restart"),
            "{error}"
        );
    }
    let record = store.read(&call(), TABLE, "key").await.unwrap().unwrap();
    assert_eq!(record.value, "value");
    store.commit(&call(), &put("key", "other")).await.unwrap();
    let change = changes.next().await.unwrap().unwrap();
    assert_eq!(change.key(), "key");
    followed.end().await;
}
