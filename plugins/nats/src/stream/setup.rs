//! The two streams of the module: made when they are first needed, and kept as the settings say.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use micro_plugin_api::{Error, Result};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    api::{self, Failure, code, without_jetstream},
    jet::Jet,
};
use crate::{
    Settings,
    connection::{Deadline, backoff},
};

/// For how long JetStream remembers ids, so that what is published again is not stored twice.
const DUPLICATES: Duration = Duration::from_secs(120);

/// What the streams should be like, and whether they are there.
pub(super) struct Setup {
    max_age: Duration,
    max_bytes: u64,
    replicas: u8,
    is_done: AtomicBool,
    turn: tokio::sync::Mutex<()>,
}

#[derive(Deserialize)]
struct StreamInfo {
    config: Map<String, Value>,
}

impl Setup {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            max_age: Duration::from_secs(settings.max_age),
            max_bytes: settings.max_bytes,
            replicas: settings.replicas,
            is_done: AtomicBool::new(false),
            turn: tokio::sync::Mutex::new(()),
        }
    }

    /// How long events are kept.
    pub(super) fn max_age(&self) -> Duration {
        self.max_age
    }

    /// The streams may be gone: the next one looks.
    pub(super) fn forget(&self) {
        self.is_done.store(false, Ordering::Release);
    }

    /// Makes the streams, if they are not known to be there.
    ///
    /// # Errors
    /// `unavailable` if that cannot be done; it says how JetStream is enabled where it is not.
    pub(super) async fn ensure(&self, jet: &Jet, deadline: Deadline) -> Result<()> {
        if self.is_done.load(Ordering::Acquire) {
            return Ok(());
        }
        let turn = tokio::time::timeout_at(deadline.at(), self.turn.lock()).await;
        let _turn = turn.map_err(|_| jet.connection.silent())?;
        if self.is_done.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut pauses = backoff();
        loop {
            let failure = match self.make(jet, deadline).await {
                Ok(()) => break,
                Err(failure) => failure,
            };
            let pause = pauses.next_wait();
            let is_over = deadline.left() <= pause;
            if is_over || !failure.is_passing() || is_missing(jet, &failure) {
                return Err(explain(jet, &failure));
            }
            tokio::time::sleep(pause).await;
        }
        self.is_done.store(true, Ordering::Release);
        Ok(())
    }

    async fn make(&self, jet: &Jet, deadline: Deadline) -> Result<(), Failure> {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(0);
        let common = json!({
            "retention": "limits",
            "storage": "file",
            "discard": "old",
            "max_age": nanos(self.max_age),
            "max_bytes": self.max_bytes,
            "duplicate_window": nanos(DUPLICATES.min(self.max_age)),
            "allow_direct": true,
        });
        let mut events = common.clone();
        events["name"] = json!(jet.layout.events);
        events["subjects"] = json!([jet.layout.all_events()]);
        events["description"] = json!("micro: the events of all topics");
        let mut groups = common;
        groups["name"] = json!(jet.layout.groups);
        groups["subjects"] = json!([jet.layout.all_groups()]);
        groups["max_msgs_per_subject"] = json!(1);
        // What is noted is short, and rare. JetStream sets all of it aside.
        groups["max_bytes"] = json!((self.max_bytes / 16).max(1 << 20));
        groups["description"] = json!("micro: what groups have settled of messages given back");
        for mut config in [events, groups] {
            let name = config["name"].as_str().unwrap_or_default().to_owned();
            let info = format!("STREAM.INFO.{name}");
            let info = api::request::<StreamInfo>(&jet.connection, &info, &Value::Null, deadline);
            match info.await {
                Ok(info) => update(jet, &name, info.config, &config, deadline).await?,
                Err(failure) if failure.is(code::STREAM_NOT_FOUND) => {
                    config["num_replicas"] = json!(self.replicas);
                    let create = format!("STREAM.CREATE.{name}");
                    let made = api::request::<Value>(&jet.connection, &create, &config, deadline);
                    made.await?;
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    /// Whether events can be stored and read now.
    pub(super) async fn check(&self, jet: &Jet, deadline: Deadline) -> Result<()> {
        self.ensure(jet, deadline).await?;
        let name = format!("STREAM.INFO.{}", jet.layout.events);
        let info = api::request::<StreamInfo>(&jet.connection, &name, &Value::Null, deadline);
        match info.await {
            Ok(_) => Ok(()),
            Err(failure) => {
                self.forget();
                Err(explain(jet, &failure))
            }
        }
    }
}

/// Gives a stream that is there the limits that it should have; all else about it stays.
async fn update(
    jet: &Jet,
    name: &str,
    mut config: Map<String, Value>,
    wanted: &Value,
    deadline: Deadline,
) -> Result<(), Failure> {
    let mut differs = false;
    for key in ["max_age", "max_bytes", "duplicate_window"] {
        differs |= config.get(key) != wanted.get(key);
        config.insert(key.to_owned(), wanted[key].clone());
    }
    if !differs {
        return Ok(());
    }
    tracing::info!(
        stream = name,
        "the retention of events is what the settings say now"
    );
    let update = format!("STREAM.UPDATE.{name}");
    api::request::<Value>(&jet.connection, &update, &Value::Object(config), deadline)
        .await
        .map(|_| ())
}

/// Whether the server says of itself that it has no JetStream.
fn is_missing(jet: &Jet, failure: &Failure) -> bool {
    let info = jet.connection.client().try_server_info();
    matches!(failure, Failure::Nobody) && info.is_some_and(|info| !info.jetstream)
}

fn explain(jet: &Jet, failure: &Failure) -> Error {
    match is_missing(jet, failure) {
        true => without_jetstream(&jet.connection),
        false => jet.error(failure, "keep events"),
    }
}
