//! What a plugin logs, and what the host notes about it, in the host's own log.
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    fmt::Debug,
    sync::{Mutex, Once},
};

use common::{Place, call, eventually, soon};
use micro_plugin_api::store::{ListQuery, Table};
use serde_json::json;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, filter::LevelFilter, layer::Context, prelude::*};

/// All events so far: level, and the fields as text.
static EVENTS: Mutex<Vec<(Level, String)>> = Mutex::new(Vec::new());

struct Collect;

impl<S: Subscriber> Layer<S> for Collect {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        struct Text(String);
        impl Visit for Text {
            fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                self.0.push_str(&format!("{}={value:?} ", field.name()));
            }
        }
        let mut text = Text(format!("target={} ", event.metadata().target()));
        event.record(&mut text);
        let mut events = EVENTS.lock().unwrap();
        events.push((*event.metadata().level(), text.0));
    }
}

fn collect() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing_subscriber::registry()
            .with(Collect.with_filter(LevelFilter::INFO))
            .init();
    });
}

/// Waits for an event of this level with all of `parts`.
async fn expect(level: Level, parts: &[&str]) {
    eventually(&format!("{level} with {parts:?}"), || {
        let events = EVENTS.lock().unwrap();
        let fits = |text: &String| parts.iter().all(|part| text.contains(part));
        events.iter().any(|(l, text)| *l == level && fits(text))
    })
    .await;
}

const TABLE: Table<'static> = Table::new("d", "t");

#[tokio::test]
async fn events_reach_the_hosts_log_tagged_and_filtered() {
    collect();
    let place = Place::new();
    let store = place.open(json!({})).await.store().unwrap();
    store.read(&call(), TABLE, "log").await.unwrap();
    let message = "message=an event of tracing animals=3 name=Ape";
    let parts = ["plugin=\"zoo\"", "source=\"micro_zoo::behaviour\"", message];
    expect(Level::INFO, &parts).await;
    expect(Level::WARN, &["source=\"zoo::gate\"", "a gate is open"]).await;
    expect(Level::INFO, &["plugin=\"zoo\"", "a record of log"]).await;
    // A library says for debugging what it says for information, or twice.
    expect(Level::WARN, &["source=\"locks\"", "a lock is WARN"]).await;
    let lines = EVENTS.lock().unwrap();
    let of_library = |(_, text): &&(Level, String)| text.contains("a lock is");
    assert_eq!(lines.iter().filter(of_library).count(), 1);
    drop(lines);
    // What nobody wants is not even turned into text.
    assert!(!place.journal().contains(&"formatted".to_owned()));
}

#[tokio::test]
async fn panics_are_logged_with_plugin_and_method() {
    collect();
    let place = Place::new();
    let store = place.open(json!({})).await.store().unwrap();
    store.tables(&call(), "panic").await.unwrap_err();
    let place_of_panic = "behaviour.rs:";
    let parts = ["plugin=\"zoo\"", "asked to panic in a poll", place_of_panic];
    expect(Level::ERROR, &parts).await;
    let parts = [
        "the plugin panicked",
        "plugin=\"zoo\"",
        "method=\"store.tables\"",
        "panics=1",
    ];
    expect(Level::ERROR, &parts).await;
}

#[tokio::test]
async fn two_threads_that_panic_at_once_get_their_line_each() {
    collect();
    let place = Place::new();
    let store = place.open(json!({})).await.store().unwrap();
    store
        .read(&call(), TABLE, "panic-in-threads")
        .await
        .unwrap();
    expect(Level::ERROR, &["thread `cage` panicked", "the ape panics"]).await;
    expect(Level::ERROR, &["thread `cage` panicked", "the bear panics"]).await;
}

#[tokio::test]
async fn slow_polls_are_warned_of() {
    collect();
    let place = Place::new();
    let store = place.open(json!({})).await.store().unwrap();
    let query = ListQuery {
        prefix: "block",
        ..ListQuery::default()
    };
    soon(store.list(&call(), TABLE, &query)).await.unwrap();
    let parts = [
        "plugin=\"zoo\"",
        "method=\"store.list\"",
        "held up the thread",
    ];
    expect(Level::WARN, &parts).await;
    // The same as a hop is nobody's trouble. A busy machine may stop any thread for a while, so
    // only a poll that took about as long as the plugin blocks counts against it.
    soon(store.tables(&call(), "block")).await.unwrap();
    let events = EVENTS.lock().unwrap();
    let held_up = |text: &String| {
        text.contains("held up") && text.contains("store.tables") && took_ms(text) >= BLOCKS_MS / 2
    };
    assert!(!events.iter().any(|(_, text)| held_up(text)), "{events:?}");
}

/// How long the plugin of the tests holds its thread if it is asked to block.
const BLOCKS_MS: u64 = 500;

/// The field `took_ms` of an event.
fn took_ms(text: &str) -> u64 {
    let after = text.split("took_ms=").nth(1).unwrap();
    after.split(' ').next().unwrap().parse().unwrap()
}
