//! A stream in a folder of its own, opened again and again.

use micro_test_backends::PATIENCE;
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use futures::{StreamExt as _, TryStreamExt as _};
use micro_file::{FileStream, Settings};
use micro_plugin_api::{
    BoxStream, Call, Host, Result, StreamHandle,
    stream::{Acks, ConsumeOptions, Delivery, Event, HistoryQuery, NewEvent, Start},
};
use tempfile::TempDir;

pub(crate) const TOPIC: &str = "micro/topic";

/// The folder of a stream.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn open(&self) -> StreamHandle {
        self.open_with(Settings::default())
    }

    pub(crate) fn open_with(&self, settings: Settings) -> StreamHandle {
        let host = Host::new("file", self.0.path(), self.0.path());
        StreamHandle::new(FileStream::open(settings, host).expect("it opens"))
    }

    /// The files of the stream.
    pub(crate) fn stream(&self) -> PathBuf {
        self.0.path().join("stream")
    }

    /// The segments, the oldest first.
    pub(crate) fn segments(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.stream()).expect("the folder");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let is_segment = |path: &PathBuf| path.extension().is_some_and(|it| it == "events");
        let mut segments: Vec<_> = paths.filter(is_segment).collect();
        segments.sort();
        segments
    }
}

/// Where `needle` begins in a file.
pub(crate) fn find(path: &Path, needle: &str) -> usize {
    let bytes = fs::read(path).expect("the file");
    let mut windows = bytes.windows(needle.len());
    windows
        .position(|window| window == needle.as_bytes())
        .unwrap_or_else(|| panic!("{needle} is not in {}", path.display()))
}

/// Changes one bit of a file.
pub(crate) fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).expect("the file");
    bytes[at] ^= 0b100;
    fs::write(path, bytes).expect("the file");
}

pub(crate) async fn publish(stream: &StreamHandle, payloads: &[&str]) -> Result<Vec<String>> {
    let events = payloads.iter().map(|payload| payload.to_string());
    let events: Vec<_> = events.map(|it| NewEvent::new(TOPIC, it)).collect();
    stream.publish(&Call::default(), &events).await
}

pub(crate) async fn history(stream: &StreamHandle) -> Vec<String> {
    let query = HistoryQuery::default();
    let events = stream.history(&Call::default(), TOPIC, &query).await;
    let events: Vec<_> = events
        .expect("a history")
        .try_collect()
        .await
        .expect("events");
    events.iter().map(text).collect()
}

pub(crate) fn text(event: &Event) -> String {
    String::from_utf8_lossy(&event.payload).into_owned()
}

/// A member of a group that acknowledges, from the first event on.
pub(crate) async fn member(
    stream: &StreamHandle,
    group: &str,
    start: Start,
) -> BoxStream<Result<Delivery>> {
    let options = ConsumeOptions {
        group: Some(group.to_owned()),
        start,
        acks: Acks::Manual {
            wait: Duration::from_secs(600),
        },
        ..ConsumeOptions::default()
    };
    let consumed = stream.consume(&Call::default(), TOPIC, &options).await;
    consumed.expect("a consumer")
}

pub(crate) async fn next(consumer: &mut BoxStream<Result<Delivery>>) -> Delivery {
    let next = tokio::time::timeout(PATIENCE, consumer.next()).await;
    next.expect("in time").expect("no end").expect("a delivery")
}
