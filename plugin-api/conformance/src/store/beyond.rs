//! What only a store does that promises it: to last, and to be shared.

use micro_plugin_api::{
    Code, StoreHandle,
    store::{Expiry, Precondition, Version},
};

use super::{Scope, text, watch::Changes};
use crate::{
    Case,
    check::{Stop, Verdict, ensure, fails, same},
    suite::{reopened, together},
};

pub(super) fn cases() -> Vec<Case<StoreHandle>> {
    vec![
        reopened!(
            "store.durable.records",
            fill,
            is_there,
            "What was committed is there when the store is opened again, with its version and expiry, and no version is given twice."
        ),
        together!(
            "store.shared.records",
            shares,
            "What one instance commits another reads at once, and preconditions hold between them."
        ),
        together!(
            "store.shared.watch",
            tells,
            "Whoever watches one instance is told of the commits of another, in their order."
        ),
    ]
}

/// The end of this century: no case sees it.
const LATE: Expiry = Expiry(4_102_444_800_000);

fn keys() -> impl Iterator<Item = String> {
    (0..20).map(|number| format!("key-{number:02}"))
}

async fn fill(store: StoreHandle, database: String) -> Verdict {
    let scope = Scope::of(store, database);
    for key in keys() {
        scope.put_until(&key, LATE).await?;
    }
    scope.put("gone", "x").await?;
    scope.delete("gone").await?;
    let version = scope.put("last", "x").await?;
    scope.put("version of last", &version.0.to_string()).await?;
    Ok(())
}

async fn is_there(store: StoreHandle, database: String) -> Verdict {
    let scope = Scope::of(store, database);
    for key in keys() {
        let Some(record) = scope.read(&key).await? else {
            return Err(Stop(format!("{key:?} is gone")));
        };
        same("the value", record.value, text(&key).value)?;
        same("the expiry", record.expiry, Some(LATE))?;
    }
    same("what was deleted", scope.text("gone").await?, None)?;
    let told = scope.text("version of last").await?.unwrap_or_default();
    let version = scope.read("last").await?.map(|record| record.version);
    let text = version.map(|version| version.0.to_string());
    same("the version", text, Some(told))?;
    let new = scope.put("last", "y").await?;
    ensure!(version != Some(new), "{new:?} is given a second time");
    Ok(())
}

async fn shares(one: StoreHandle, other: StoreHandle) -> Verdict {
    let one = Scope::new(one);
    let other = Scope::of(other, one.database.clone());
    let mut version = one.put("key", "0").await?;
    for round in 1..=20 {
        let (reads, writes) = if round % 2 == 0 {
            (&one, &other)
        } else {
            (&other, &one)
        };
        let seen = reads.read("key").await?.map(|record| record.version);
        same(
            "the version that the other instance reads",
            seen,
            Some(version),
        )?;
        let value = text(&round.to_string());
        let current = Precondition::Version(version);
        let old = std::mem::replace(
            &mut version,
            writes.write("key", current, value.clone()).await?,
        );
        let late = reads.write("key", Precondition::Version(old), value).await;
        fails("a commit on an old version", late, Code::CONFLICT)?;
    }
    Ok(())
}

async fn tells(one: StoreHandle, other: StoreHandle) -> Verdict {
    let one = Scope::new(one);
    let other = Scope::of(other, one.database.clone());
    let mut changes = Changes(one.store.watch(&one.call, one.table(), "").await?);
    let mut wanted: Vec<(String, Version)> = Vec::new();
    for key in keys() {
        let version = other.put(&key, "x").await?;
        wanted.push((key, version));
    }
    other.put("last", "x").await?;
    same("the changes", changes.until("last").await?, wanted)
}
