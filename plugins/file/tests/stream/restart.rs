//! What is there after the stream is opened again: all that was acknowledged, and where groups are.

use std::fs::OpenOptions;

use micro_plugin_api::{Call, stream::Start};

use super::common::{Folder, TOPIC, find, history, member, next, publish, text};

const CALL: fn() -> Call = Call::default;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_there_again_and_the_log_goes_on() {
    let folder = Folder::new();
    let mut all = Vec::new();
    let mut ids = Vec::new();
    for round in 0..4 {
        let stream = folder.open();
        assert_eq!(history(&stream).await, all, "round {round}");
        for i in 0..10 {
            let payload = format!("{round}/{i}");
            ids.extend(publish(&stream, &[&payload]).await.unwrap());
            all.push(payload);
        }
    }
    assert_eq!(history(&folder.open()).await, all);
    assert!(ids.is_sorted(), "{ids:?}");
    assert_eq!(folder.segments().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_tail_is_cut_off_and_nothing_else() {
    let folder = Folder::new();
    publish(&folder.open(), &["first", "second"]).await.unwrap();
    publish(&folder.open(), &["third", "fourth"]).await.unwrap();
    let segment = folder.segments().remove(0);
    // What a write leaves that the machine did not survive: a part of the last batch. Nobody was
    // told that it is there, so there is no note of it either.
    let cut = find(&segment, "fourth") as u64;
    let file = OpenOptions::new().write(true).open(&segment).unwrap();
    file.set_len(cut + 2).unwrap();
    file.set_len(cut + 5_000).unwrap();
    std::fs::remove_file(folder.stream().join("acknowledged")).unwrap();
    let stream = folder.open();
    assert_eq!(history(&stream).await, ["first", "second"]);
    publish(&stream, &["fifth"]).await.unwrap();
    drop(stream);
    assert_eq!(history(&folder.open()).await, ["first", "second", "fifth"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_go_on_where_they_were() {
    let folder = Folder::new();
    let stream = folder.open();
    publish(&stream, &["a", "b", "c", "d"]).await.unwrap();
    let mut consumer = member(&stream, "group", Start::Time(0)).await;
    for acknowledged in [true, false, true] {
        let delivery = next(&mut consumer).await;
        if acknowledged {
            stream.ack(&CALL(), &delivery.token).await.unwrap();
        }
    }
    drop(consumer);
    stream.shutdown(&CALL()).await.unwrap();
    drop(stream);

    let stream = folder.open();
    publish(&stream, &["e"]).await.unwrap();
    let mut consumer = member(&stream, "group", Start::Now).await;
    let mut left = Vec::new();
    for _ in 0..3 {
        let delivery = next(&mut consumer).await;
        left.push((text(&delivery.event), delivery.attempt));
    }
    left.sort();
    // Of those that were on their way to the first consumer some may count as delivered.
    let payloads: Vec<_> = left.iter().map(|(payload, _)| payload.as_str()).collect();
    assert_eq!(payloads, ["b", "d", "e"]);
    assert_eq!((left[0].1, left[2].1), (2, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_group_is_on_disk_before_it_consumes() {
    let folder = Folder::new();
    let stream = folder.open();
    publish(&stream, &["before"]).await.unwrap();
    let consumer = member(&stream, "group", Start::Now).await;
    // As after `kill -9`: nothing more is written down.
    let kept = std::fs::read(folder.stream().join("groups")).unwrap();
    publish(&stream, &["after"]).await.unwrap();
    drop((consumer, stream));
    std::fs::write(folder.stream().join("groups"), kept).unwrap();
    let mut consumer = member(&folder.open(), "group", Start::Now).await;
    assert_eq!(text(&next(&mut consumer).await.event), "after");
    assert_eq!(next_topic(&folder).await, TOPIC);
}

/// The topic of the first event of the history.
async fn next_topic(folder: &Folder) -> String {
    let mut consumer = member(&folder.open(), "another", Start::Time(0)).await;
    next(&mut consumer).await.event.topic
}
