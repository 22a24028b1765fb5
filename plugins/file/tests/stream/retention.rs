//! Segments: a log has many, and lets the oldest go.

use micro_test_backends::eventually;
use std::path::Path;

use micro_file::Settings;
use micro_plugin_api::{
    Bytes, Call, StreamHandle,
    stream::{HistoryQuery, NewEvent, Start},
};

use super::common::{Folder, TOPIC, history, member, next, publish, text};

const MIB: usize = 1 << 20;

/// Publishes that many MiB, an event each, which begins with its number.
pub(crate) async fn fill(stream: &StreamHandle, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let mut payload = format!("{number:04}").into_bytes();
        payload.resize(MIB, b' ');
        let event = NewEvent::new(TOPIC, Bytes::from(payload));
        let published = stream.publish(&Call::default(), &[event]).await;
        published.expect("it publishes");
    }
}

/// The numbers of all events.
pub(crate) async fn numbers(stream: &StreamHandle) -> Vec<usize> {
    let events = history(stream).await;
    let numbers = events.iter().map(|text| text.trim().parse());
    numbers.map(|number| number.expect("a number")).collect()
}

fn keeping(mib: u64) -> Settings {
    Settings {
        events_max_mb: mib,
        ..Settings::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_of_many_segments_is_read_as_one() {
    let folder = Folder::new();
    let stream = folder.open();
    fill(&stream, 0..70).await;
    assert_eq!(folder.segments().len(), 3);
    let all: Vec<_> = (0..70).collect();
    assert_eq!(numbers(&stream).await, all);
    let query = HistoryQuery {
        offset: 40,
        limit: 2,
        ..HistoryQuery::default()
    };
    let page = stream
        .history(&Call::default(), TOPIC, &query)
        .await
        .unwrap();
    let page: Vec<_> = futures::TryStreamExt::try_collect(page).await.unwrap();
    let seen: Vec<_> = page.iter().map(|it| text(it).trim().to_owned()).collect();
    assert_eq!(seen, ["0040", "0041"]);
    let of_time = HistoryQuery {
        from: page[0].ingested,
        limit: 1,
        ..HistoryQuery::default()
    };
    let first = stream
        .history(&Call::default(), TOPIC, &of_time)
        .await
        .unwrap();
    let first: Vec<_> = futures::TryStreamExt::try_collect(first).await.unwrap();
    assert!(first[0].ingested >= page[0].ingested && first[0].position <= page[0].position);
    drop(stream);

    let stream = folder.open();
    assert_eq!(numbers(&stream).await, all);
    drop(stream);
    // Without its index a full segment is looked at whole; a damaged one is as good as none.
    let index = |path: &Path| path.with_extension("index");
    std::fs::remove_file(index(&folder.segments()[0])).unwrap();
    std::fs::write(index(&folder.segments()[1]), "mEx1").unwrap();
    assert_eq!(numbers(&folder.open()).await, all);
    assert!(index(&folder.segments()[0]).exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_oldest_go_when_there_are_too_many_bytes() {
    let folder = Folder::new();
    let stream = folder.open_with(keeping(40));
    let mut slow = member(&stream, "slow", Start::Time(0)).await;
    fill(&stream, 0..1).await;
    let first = next(&mut slow).await;
    fill(&stream, 1..100).await;
    assert!(folder.segments().len() <= 2);
    let kept = numbers(&stream).await;
    assert_eq!(kept.last(), Some(&99));
    // Whole segments go, so that it is up to one less than may be kept, or one more.
    assert!((8..=72).contains(&kept.len()), "{} are kept", kept.len());
    // One that was overtaken goes on with what is kept, in order.
    stream.nack(&Call::default(), &first.token).await.unwrap();
    let mut seen = Vec::new();
    while seen.last() != Some(&99) {
        let delivery = next(&mut slow).await;
        seen.push(text(&delivery.event).trim().parse::<usize>().unwrap());
        stream.ack(&Call::default(), &delivery.token).await.unwrap();
    }
    // Some had been taken from the log for it before.
    assert!(seen.ends_with(&kept), "{seen:?}, {kept:?}");
    drop((slow, stream));
    assert_eq!(numbers(&folder.open_with(keeping(40))).await, kept);
    // Kept for less, it is less from the start.
    let stream = folder.open_with(keeping(1));
    eventually(async || folder.segments().len() == 1).await;
    publish(&stream, &["0100"]).await.unwrap();
    assert_eq!(numbers(&stream).await.last(), Some(&100));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_old_goes() {
    let folder = Folder::new();
    fill(&folder.open(), 0..40).await;
    assert_eq!(folder.segments().len(), 2);
    let no_age = Settings {
        events_max_age_hours: 0,
        ..Settings::default()
    };
    let _stream = folder.open_with(no_age);
    eventually(async || folder.segments().len() == 1).await;
}
