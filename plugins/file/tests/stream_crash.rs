//! `kill -9` of a process that publishes: everything that it was told is on disk is there.
//!
//! Without a harness of tests: this program is also the process that is killed.

use std::{
    collections::HashSet,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
};

use futures::TryStreamExt as _;
use micro_file::{FileStream, Settings};
use micro_plugin_api::{
    Call, Host, StreamHandle,
    stream::{Event, HistoryQuery, NewEvent},
};

/// What this program is called with to be the process that is killed.
const PUBLISH: &str = "--publish-until-killed";

const ROUNDS: usize = 8;
const PUBLISHERS: usize = 16;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    match arguments.next().as_deref() {
        Some(PUBLISH) => {
            let folder = arguments.next().expect("a folder");
            runtime.block_on(publish(Path::new(&folder)));
        }
        // What a harness would list.
        Some("--list") => say("nothing_acknowledged_is_lost: test"),
        _ => runtime.block_on(nothing_acknowledged_is_lost()),
    }
}

/// Says what a harness of tests would.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").expect("somebody reads");
}

fn open(folder: &Path) -> StreamHandle {
    let host = Host::new("file", folder, folder);
    StreamHandle::new(FileStream::open(Settings::default(), host).expect("it opens"))
}

/// Publishes until somebody ends this process, and prints the id of each event that is safe.
async fn publish(folder: &Path) {
    let stream = open(folder);
    let publishers = (0..PUBLISHERS).map(|publisher| {
        let stream = stream.clone();
        tokio::spawn(async move {
            for number in 0.. {
                let batch: Vec<_> = (0..=number % 3)
                    .map(|part| NewEvent::new("t", format!("{publisher}/{number}/{part}")))
                    .collect();
                let ids = stream.publish(&Call::default(), &batch).await;
                let lines = ids.expect("it publishes").join("\n");
                let mut out = std::io::stdout().lock();
                writeln!(out, "{lines}").expect("somebody reads");
            }
        })
    });
    for publisher in publishers.collect::<Vec<_>>() {
        publisher.await.expect("no end");
    }
}

async fn nothing_acknowledged_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut acknowledged = HashSet::new();
    for round in 0..ROUNDS {
        let mut child = start(folder.path());
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        // Another number each time, so that it ends in other states.
        let enough = acknowledged.len() + 50 + 137 * round;
        while acknowledged.len() < enough {
            let line = lines.next().expect("it goes on").expect("a line");
            acknowledged.insert(line);
        }
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
        // What it had said before it ended. The last line may be cut off.
        let rest: Vec<_> = lines.map_while(Result::ok).collect();
        acknowledged.extend(rest.into_iter().filter(|id| id.len() == 36));
        check(folder.path(), &acknowledged, round).await;
    }
    say("test nothing_acknowledged_is_lost ... ok");
}

fn start(folder: &Path) -> Child {
    let program = std::env::current_exe().expect("this program");
    Command::new(program)
        .arg(PUBLISH)
        .arg(folder)
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts")
}

async fn check(folder: &Path, acknowledged: &HashSet<String>, round: usize) {
    let stream = open(folder);
    let (call, query) = (Call::default(), HistoryQuery::default());
    let history = stream.history(&call, "t", &query);
    let events: Vec<Event> = history
        .await
        .expect("a history")
        .try_collect()
        .await
        .expect("events");
    let ids: HashSet<_> = events.iter().map(|event| event.id.clone()).collect();
    assert_eq!(
        ids.len(),
        events.len(),
        "round {round}: an event is there twice"
    );
    let lost: Vec<_> = acknowledged.difference(&ids).collect();
    assert!(
        lost.is_empty(),
        "round {round}: {} of {} are lost",
        lost.len(),
        acknowledged.len()
    );
    // Batches are whole, and in one place.
    for (at, event) in events.iter().enumerate() {
        let text = String::from_utf8_lossy(&event.payload);
        let mut parts = text.rsplit('/');
        let part: usize = parts.next().and_then(|it| it.parse().ok()).expect("a part");
        let number: usize = parts
            .next()
            .and_then(|it| it.parse().ok())
            .expect("a number");
        let rest = number % 3 - part;
        let last = events
            .get(at + rest)
            .unwrap_or_else(|| panic!("round {round}: half a batch"));
        let wanted = format!(
            "{}/{}",
            text.rsplit_once('/').expect("a part").0,
            number % 3
        );
        assert_eq!(
            String::from_utf8_lossy(&last.payload),
            wanted,
            "round {round}"
        );
    }
}
