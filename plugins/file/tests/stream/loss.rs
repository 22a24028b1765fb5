//! Segments that somebody emptied or deleted: it is said which, and no group skips what is new.

use std::{
    fs::{self, OpenOptions},
    path::Path,
};

use micro_plugin_api::{Call, stream::Start};

use super::{
    common::{Folder, history, member, next, publish, text},
    damage::{collect_logs, is_logged},
    retention::{fill, numbers},
};

/// A stream of 40 events, all of which a group acknowledged; it is closed.
async fn consumed(folder: &Folder) {
    let stream = folder.open();
    for i in 0..40 {
        publish(&stream, &[&format!("old {i}")])
            .await
            .expect("it publishes");
    }
    acknowledge(folder, 40).await;
}

/// Lets the group take so many events from where it is, and closes the stream.
async fn acknowledge(folder: &Folder, count: usize) {
    let stream = folder.open();
    let mut consumer = member(&stream, "group", Start::Time(0)).await;
    for _ in 0..count {
        let delivery = next(&mut consumer).await;
        stream
            .ack(&Call::default(), &delivery.token)
            .await
            .expect("it takes that");
    }
    drop(consumer);
    stream.shutdown(&Call::default()).await.expect("it ends");
}

/// Publishes five events, checks that the group gets them and that they are there after a restart.
async fn goes_on(folder: &Folder, what: &str) {
    let stream = folder.open();
    let new: Vec<_> = (0..5).map(|i| format!("{what} {i}")).collect();
    for payload in &new {
        publish(&stream, &[payload]).await.expect("it publishes");
    }
    let mut consumer = member(&stream, "group", Start::Time(0)).await;
    for payload in &new {
        let delivery = next(&mut consumer).await;
        assert_eq!(text(&delivery.event), *payload);
        stream
            .ack(&Call::default(), &delivery.token)
            .await
            .expect("it takes that");
    }
    drop(consumer);
    stream.shutdown(&Call::default()).await.expect("it ends");
    drop(stream);
    assert!(history(&folder.open()).await.ends_with(&new), "{what}");
}

fn cut(segment: &Path, length: u64) {
    let file = OpenOptions::new()
        .write(true)
        .open(segment)
        .expect("the segment");
    file.set_len(length).expect("the segment");
}

fn is_lost(segment: &Path, words: &[&str]) -> bool {
    let file = segment.display().to_string();
    is_logged(&[&["events are lost", file.as_str()], words].concat())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_that_was_emptied_or_cut() {
    collect_logs();
    for length in [0, 200] {
        let folder = Folder::new();
        consumed(&folder).await;
        let segment = folder.segments().remove(0);
        assert!(!is_lost(&segment, &[]), "nothing is lost yet");
        cut(&segment, length);
        goes_on(&folder, "new").await;
        assert!(is_lost(&segment, &[&format!("ends at byte {length},")]));
        goes_on(&folder, "newer").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_groups_know_how_far_it_was() {
    collect_logs();
    let folder = Folder::new();
    consumed(&folder).await;
    let segment = folder.segments().remove(0);
    cut(&segment, 0);
    fs::remove_file(folder.stream().join("acknowledged")).unwrap();
    goes_on(&folder, "new").await;
    assert!(is_lost(&segment, &["ends at byte 0,"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_only_segment_is_deleted() {
    collect_logs();
    let folder = Folder::new();
    consumed(&folder).await;
    let segment = folder.segments().remove(0);
    fs::remove_file(&segment).unwrap();
    goes_on(&folder, "new").await;
    assert!(is_lost(&segment, &["is missing"]));
    goes_on(&folder, "newer").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_of_many_is_deleted() {
    collect_logs();
    let folder = Folder::new();
    fill(&folder.open(), 0..70).await;
    acknowledge(&folder, 70).await;
    let last = folder.segments().remove(2);
    fs::remove_file(&last).unwrap();
    goes_on(&folder, "100").await;
    assert!(is_lost(&last, &["is missing"]));
    assert!(!last.exists(), "its number is not given out again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_in_the_middle_is_deleted_or_emptied() {
    collect_logs();
    for deleted in [true, false] {
        let folder = Folder::new();
        fill(&folder.open(), 0..70).await;
        let (first, middle) = (folder.segments().remove(0), folder.segments().remove(1));
        match deleted {
            true => fs::remove_file(&middle).unwrap(),
            false => cut(&middle, 0),
        }
        let left = numbers(&folder.open()).await;
        assert!(is_lost(&middle, &[]));
        assert!(!is_lost(&first, &[]));
        assert_eq!((left.first(), left.last()), (Some(&0), Some(&69)));
        assert!(left.len() < 50, "{left:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_retention_let_go_of_is_not_lost() {
    collect_logs();
    let folder = Folder::new();
    fill(&folder.open(), 0..70).await;
    let segments = folder.segments();
    // As retention does it.
    for segment in &segments[..2] {
        fs::remove_file(segment).unwrap();
        fs::remove_file(segment.with_extension("index")).unwrap();
    }
    assert_eq!(numbers(&folder.open()).await.last(), Some(&69));
    assert!(segments.iter().all(|segment| !is_lost(segment, &[])));
}
