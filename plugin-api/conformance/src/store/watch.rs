//! Rules about watching: who hears of which commits, in which order, and who falls behind.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use micro_plugin_api::{
    BoxStream, Code, Result, StoreHandle,
    store::{Commit, ListQuery, Precondition, RecordChange, Table, Version},
};

use super::{ODD_KEYS, Scope, TABLE, text};
use crate::{
    Case,
    check::{Stop, Verdict, ensure, fails, joined, same},
    suite::case,
};

pub(super) fn cases() -> Vec<Case<StoreHandle>> {
    vec![
        case!(
            "store.watch.what-changed",
            what_changed,
            "A watcher is told of each record that is put, whole, and of each that is deleted, with the versions of the commits."
        ),
        case!(
            "store.watch.prefix-is-literal",
            prefix,
            "A watcher hears of the keys of its table that begin with its prefix, taken literally, and of no others."
        ),
        case!(
            "store.watch.order",
            order,
            "Changes come in the order of the commits, and within one in that of its operations."
        ),
        case!(
            "store.watch.failed-commit",
            failed_commit,
            "A commit that fails is not told."
        ),
        case!(
            "store.watch.no-gap",
            no_gap,
            "Whoever watches first and lists then knows what is there, whatever others do meanwhile."
        ),
        case!(
            "store.watch.each-sees-all",
            each_sees_all,
            "Each of many watchers is told everything."
        ),
        case!(
            "store.watch.slow",
            slow,
            "A watcher that does not read holds up no commit, and is told everything or, with an error that may be retried, to begin again."
        ),
        case!(
            "store.watch.dropped",
            dropped,
            "Watchers that go harm no others."
        ),
    ]
}

/// A watch as a case reads it.
pub(super) struct Changes(pub(super) BoxStream<Result<RecordChange>>);

impl Changes {
    /// The next change; fails when none comes within ten seconds, or the watch ended.
    async fn next(&mut self) -> Verdict<RecordChange> {
        let patience = Duration::from_secs(10);
        match tokio::time::timeout(patience, self.0.next()).await {
            Ok(Some(change)) => Ok(change?),
            Ok(None) => Err(Stop("the watch ended by itself".to_owned())),
            Err(_) => Err(Stop(format!("no change came within {patience:?}"))),
        }
    }

    /// The keys and versions of the next changes, up to that of the key `last`.
    pub(super) async fn until(&mut self, last: &str) -> Verdict<Vec<(String, Version)>> {
        let mut seen = Vec::new();
        loop {
            let change = self.next().await?;
            if change.key() == last {
                return Ok(seen);
            }
            seen.push((change.key().to_owned(), change.version()));
        }
    }
}

impl Scope {
    async fn watch(&self, prefix: &str) -> Result<Changes> {
        self.watch_in(self.table(), prefix).await
    }

    async fn watch_in(&self, table: Table<'_>, prefix: &str) -> Result<Changes> {
        Ok(Changes(self.store.watch(&self.call, table, prefix).await?))
    }
}

async fn what_changed(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    scope.put("before", "0").await?;
    let mut watch = scope.watch("").await?;
    let mut put = text("1");
    put.metadata = [("kind".to_owned(), "test".to_owned())].into();
    scope.write("k", Precondition::Any, put).await?;
    let record = scope.read("k").await?;
    let change = watch.next().await?;
    same("the change", Some(change), record.map(RecordChange::Put))?;
    scope.put("k", "2").await?;
    let record = scope.read("k").await?;
    let change = watch.next().await?;
    same("the overwrite", Some(change), record.map(RecordChange::Put))?;
    let version = scope.delete("k").await?;
    let key = "k".to_owned();
    let wanted = RecordChange::Deleted { key, version };
    same("the delete", watch.next().await?, wanted)
}

async fn prefix(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    let other = Table::new(&scope.database, "other");
    let mut watches = Vec::new();
    for prefix in ["", "a", "a/", "a%", "a_", "a*", "é", "日"] {
        watches.push((prefix, scope.watch(prefix).await?));
    }
    let mut elsewhere = scope.watch_in(other, "").await?;
    for key in ODD_KEYS {
        scope.put(key, key).await?;
    }
    for (prefix, watch) in &mut watches {
        let last = format!("{prefix}-the-end");
        scope.put(&last, "").await?;
        let seen = watch.until(&last).await?;
        // The ends of other watches may be among them.
        let seen: Vec<_> = seen.into_iter().map(|(key, _)| key).collect();
        let seen: Vec<&str> = seen
            .iter()
            .map(String::as_str)
            .filter(|key| !key.ends_with("-the-end"))
            .collect();
        let wanted: Vec<_> = ODD_KEYS
            .into_iter()
            .filter(|key| key.starts_with(*prefix))
            .collect();
        same(&format!("the keys below {prefix:?}"), seen, wanted)?;
    }
    let end = Commit::new().put(other, "end", Precondition::Any, text(""));
    scope.commit(end).await?;
    same("another table", elsewhere.until("end").await?, Vec::new())
}

async fn order(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    let mut watch = scope.watch("").await?;
    let mut wanted = Vec::new();
    for round in 0..20 {
        let keys: Vec<_> = (0..8).rev().map(|i| format!("{round}-{i}")).collect();
        let commit = keys.iter().fold(Commit::new(), |commit, key| {
            commit.put(scope.table(), key, Precondition::Any, text(key))
        });
        let version = scope.commit(commit).await?;
        wanted.extend(keys.into_iter().map(|key| (key, version)));
        let version = scope.put("one", &round.to_string()).await?;
        wanted.push(("one".to_owned(), version));
    }
    scope.put("the-end", "").await?;
    same("what is told", watch.until("the-end").await?, wanted)
}

async fn failed_commit(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    scope.put("there", "1").await?;
    let mut watch = scope.watch("").await?;
    let table = Table::new(&scope.database, TABLE);
    let commit = Commit::new()
        .put(table, "new", Precondition::Any, text("2"))
        .put(table, "there", Precondition::Absent, text("2"));
    fails("the commit", scope.commit(commit).await, Code::CONFLICT)?;
    scope.put("the-end", "").await?;
    same("what is told", watch.until("the-end").await?, Vec::new())
}

type Known = BTreeMap<String, Version>;

fn learn(known: &mut Known, change: RecordChange) {
    match change {
        RecordChange::Put(record) => known.insert(record.key, record.version),
        RecordChange::Deleted { key, .. } => known.remove(&key),
    };
}

async fn listed(scope: &Scope) -> Verdict<Known> {
    let records = scope.records(ListQuery::default()).await?;
    let known = records
        .into_iter()
        .map(|record| (record.key, record.version));
    Ok(known.collect())
}

async fn no_gap(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    // The first watch tells whether there are any, before anything is spawned.
    let mut watches = vec![(scope.watch("").await?, listed(&scope).await?)];
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let scope = scope.clone();
            tokio::spawn(async move {
                for i in 0..50 {
                    let key = format!("k{}", (i + writer) % 10);
                    if i % 3 == 2 {
                        scope.delete(&key).await?;
                    } else {
                        scope.put(&key, &format!("{writer}-{i}")).await?;
                    }
                    tokio::task::yield_now().await;
                }
                Verdict::Ok(())
            })
        })
        .collect();
    for _ in 0..10 {
        let watch = scope.watch("").await?;
        watches.push((watch, listed(&scope).await?));
        tokio::task::yield_now().await;
    }
    for writer in writers {
        joined(writer).await??;
    }
    let wanted = listed(&scope).await?;
    scope.put("the-end", "").await?;
    for (mut watch, mut known) in watches {
        loop {
            let change = watch.next().await?;
            if change.key() == "the-end" {
                break;
            }
            learn(&mut known, change);
        }
        same("what a watcher knows", known, wanted.clone())?;
    }
    Ok(())
}

async fn each_sees_all(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    let mut watches = Vec::new();
    for _ in 0..20 {
        watches.push(scope.watch("k").await?);
    }
    let mut wanted = Vec::new();
    for i in 0..20 {
        let key = format!("k{i}");
        let version = scope.put(&key, "").await?;
        wanted.push((key, version));
    }
    scope.put("k-the-end", "").await?;
    for watch in &mut watches {
        same(
            "what is told",
            watch.until("k-the-end").await?,
            wanted.clone(),
        )?;
    }
    Ok(())
}

/// More changes than any watcher should be kept waiting with.
const MANY: usize = 5_000;

async fn slow(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    let mut slow = scope.watch("").await?;
    let mut fast = scope.watch("").await?;
    let slowest = Duration::from_secs(5);
    // In large commits, for the sake of stores whose commits wait for a disk.
    let batch = Commit::MAX_OPERATIONS;
    for first in (0..MANY).step_by(batch) {
        let commit = (first..first + batch).fold(Commit::new(), |commit, i| {
            let key = format!("k{}", i % 100);
            commit.put(scope.table(), key, Precondition::Any, text("v"))
        });
        let begun = Instant::now();
        scope.commit(commit).await?;
        let took = begun.elapsed();
        ensure!(
            took < slowest,
            "a commit took {took:?} because of a watcher that does not read"
        );
        for _ in 0..batch {
            fast.next().await?;
        }
    }
    scope.put("the-end", "").await?;
    let mut told = 0;
    loop {
        match tokio::time::timeout(Duration::from_secs(10), slow.0.next()).await {
            Ok(Some(Ok(change))) if change.key() == "the-end" => {
                let wanted = MANY.next_multiple_of(batch);
                return same("how much the slow watcher was told", told, wanted);
            }
            Ok(Some(Ok(_))) => told += 1,
            Ok(Some(Err(error))) => {
                ensure!(
                    error.code() == Code::UNAVAILABLE && error.is_retryable(),
                    "the slow watcher ended with {}, which does not say that it may watch again",
                    error.code()
                );
                return Ok(());
            }
            Ok(None) => {
                let text = format!("the slow watch ended after {told} changes without an error");
                return Err(Stop(text));
            }
            Err(_) => {
                let text = format!("the slow watcher was told {told} changes, then nothing more");
                return Err(Stop(text));
            }
        }
    }
}

async fn dropped(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    let mut stays = scope.watch("").await?;
    for i in 0..50 {
        let mut goes = scope.watch("").await?;
        let key = format!("k{i}");
        if i % 2 == 0 {
            scope.put(&key, "first").await?;
            same("the change", goes.next().await?.key(), key.as_str())?;
            stays.next().await?;
        }
        drop(goes);
        scope.put(&key, "then").await?;
        same("the change", stays.next().await?.key(), key.as_str())?;
    }
    Ok(())
}
