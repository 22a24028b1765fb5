//! A flipped bit is noticed, named with file and offset, and costs one event.

use std::sync::{LazyLock, Mutex};

use micro_plugin_api::stream::Start;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt as _, registry};

use super::common::{Folder, find, flip, history, member, next, publish, text};

/// What this process has logged.
static LOGGED: LazyLock<Mutex<Vec<String>>> = LazyLock::new(Mutex::default);

struct Collect;

impl<S: Subscriber> Layer<S> for Collect {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        struct Message(String);
        impl Visit for Message {
            fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                if field.name() == "message" {
                    self.0 = format!("{value:?}");
                }
            }
        }
        let mut message = Message(String::new());
        event.record(&mut message);
        LOGGED.lock().expect("not poisoned").push(message.0);
    }
}

pub(crate) fn collect_logs() {
    // The first test of this process does; the others find it done.
    let _ = tracing::subscriber::set_global_default(registry().with(Collect));
}

/// Whether something was logged that names all of these.
pub(crate) fn is_logged(words: &[&str]) -> bool {
    let logged = LOGGED.lock().expect("not poisoned");
    let mut logged = logged.iter();
    logged.any(|line| words.iter().all(|word| line.contains(word)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bit_that_flips_under_an_open_stream() {
    collect_logs();
    let folder = Folder::new();
    let stream = folder.open();
    publish(&stream, &["first", "second", "third"])
        .await
        .unwrap();
    let segment = folder.segments().remove(0);
    flip(&segment, find(&segment, "second") + 1);
    assert_eq!(history(&stream).await, ["first", "third"]);
    let file = segment.display().to_string();
    assert!(is_logged(&["damaged event", "offset", &file]));
    let mut consumer = member(&stream, "group", Start::Time(0)).await;
    assert_eq!(text(&next(&mut consumer).await.event), "first");
    assert_eq!(text(&next(&mut consumer).await.event), "third");
    publish(&stream, &["fourth"]).await.unwrap();
    assert_eq!(text(&next(&mut consumer).await.event), "fourth");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bit_that_flipped_while_nobody_looked() {
    collect_logs();
    for damaged in ["first", "second", "third"] {
        let folder = Folder::new();
        publish(&folder.open(), &["first", "second"]).await.unwrap();
        publish(&folder.open(), &["third"]).await.unwrap();
        let segment = folder.segments().remove(0);
        flip(&segment, find(&segment, damaged));
        let stream = folder.open();
        let mut wanted = vec!["first", "second", "third"];
        wanted.retain(|payload| *payload != damaged);
        assert_eq!(history(&stream).await, wanted, "{damaged}");
        let file = segment.display().to_string();
        assert!(is_logged(&["damaged event", "offset", &file]), "{damaged}");
        publish(&stream, &["last"]).await.unwrap();
        wanted.push("last");
        drop(stream);
        assert_eq!(history(&folder.open()).await, wanted, "{damaged}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_header_costs_one_event_too() {
    collect_logs();
    let folder = Folder::new();
    publish(&folder.open(), &["first", "second", "third"])
        .await
        .unwrap();
    let segment = folder.segments().remove(0);
    // The length of the second record: without it the next one has to be searched for.
    let second = find(&segment, "mEv1") + find(&segment, "first") + "first".len();
    flip(&segment, second + 5);
    let stream = folder.open();
    assert_eq!(history(&stream).await, ["first", "third"]);
    let file = segment.display().to_string();
    assert!(is_logged(&[&format!("offset {second}"), &file]));
}
