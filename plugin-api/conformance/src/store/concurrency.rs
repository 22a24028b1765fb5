//! Rules about many writers at once, and about calls that are dropped half way.

use futures::future::join_all;
use micro_plugin_api::{
    Code, StoreHandle,
    store::{Commit, ListQuery, Precondition},
};

use super::{Scope, text};
use crate::{
    Case,
    check::{Stop, Verdict, ensure, joined, same},
    suite::case,
    wait::eventually,
};

pub(super) fn cases() -> Vec<Case<StoreHandle>> {
    vec![
        case!(
            "store.concurrent.writers",
            writers,
            "What concurrent writers put is all there."
        ),
        case!(
            "store.concurrent.creators",
            creators,
            "Of those who create the same key at once exactly one wins; the others get a conflict."
        ),
        case!(
            "store.concurrent.counter",
            counter,
            "Increments that loop on the version are never lost."
        ),
        case!(
            "store.concurrent.commits",
            commits,
            "Commits over the same keys do not mix: one of them is what is left."
        ),
        case!(
            "store.cancel.reads",
            cancelled_reads,
            "A read or list that is dropped half way harms nothing."
        ),
        case!(
            "store.cancel.commits",
            cancelled_commits,
            "A commit that is dropped half way happens wholly or not at all, and harms no other."
        ),
    ]
}

const TASKS: usize = 16;

async fn spawn_all<T: Send + 'static, F>(task: impl Fn(usize) -> F) -> Verdict<Vec<T>>
where
    F: Future<Output = T> + Send + 'static,
{
    let tasks: Vec<_> = (0..TASKS).map(|i| tokio::spawn(task(i))).collect();
    let mut results = Vec::with_capacity(TASKS);
    for task in tasks {
        results.push(joined(task).await?);
    }
    Ok(results)
}

async fn writers(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    let results = spawn_all(|task| {
        let scope = scope.clone();
        async move {
            for i in 0..25 {
                let key = format!("{task:02}/{i:02}");
                scope.put(&key, &key).await?;
            }
            Verdict::Ok(())
        }
    })
    .await?;
    results.into_iter().collect::<Verdict>()?;
    let records = scope.records(ListQuery::default()).await?;
    same("records", records.len(), TASKS * 25)?;
    let wrong = records.iter().find(|r| r.key.as_bytes() != r.value);
    ensure!(wrong.is_none(), "another's value: {wrong:?}");
    Ok(())
}

async fn creators(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    for round in 0..10 {
        let results = spawn_all(|task| {
            let (scope, key) = (scope.clone(), format!("k{round}"));
            async move {
                let put = text(&task.to_string());
                scope.write(&key, Precondition::Absent, put).await
            }
        })
        .await?;
        let mut winners = Vec::new();
        for (task, result) in results.into_iter().enumerate() {
            match result {
                Ok(version) => winners.push((task, version)),
                Err(error) if error.code() == Code::CONFLICT => {}
                Err(error) => return Err(error.into()),
            }
        }
        let [(task, version)] = winners[..] else {
            return Err(Stop(format!("{} creators won", winners.len())));
        };
        let record = scope.read(&format!("k{round}")).await?;
        let seen = record.map(|r| (String::from_utf8_lossy(&r.value).into_owned(), r.version));
        same("the record", seen, Some((task.to_string(), version)))?;
    }
    Ok(())
}

async fn counter(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    scope.put("n", "0").await?;
    let results = spawn_all(|_| {
        let scope = scope.clone();
        async move {
            let mut done = 0;
            while done < 10 {
                let Some(record) = scope.read("n").await? else {
                    return Err(Stop("the counter is gone".into()));
                };
                let n: u64 = String::from_utf8_lossy(&record.value)
                    .parse()
                    .map_err(|_| Stop("the counter is no number".into()))?;
                let put = text(&(n + 1).to_string());
                match scope
                    .write("n", Precondition::Version(record.version), put)
                    .await
                {
                    Ok(_) => done += 1,
                    Err(error) if error.code() == Code::CONFLICT => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(())
        }
    })
    .await?;
    results.into_iter().collect::<Verdict>()?;
    same(
        "the count",
        scope.text("n").await?,
        Some((TASKS * 10).to_string()),
    )
}

async fn commits(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    let results = spawn_all(|task| {
        let scope = scope.clone();
        async move {
            // In another order each, so that a store which locks key by key would deadlock or mix.
            for round in 0..10 {
                let commit = (0..10).fold(Commit::new(), |commit, i| {
                    let key = format!("k{}", (i + task) % 10);
                    let put = text(&format!("{task}/{round}"));
                    commit.put(scope.table(), key, Precondition::Any, put)
                });
                scope.commit(commit).await?;
            }
            Verdict::Ok(())
        }
    })
    .await?;
    results.into_iter().collect::<Verdict>()?;
    let records = scope.records(ListQuery::default()).await?;
    same("records", records.len(), 10)?;
    let first = &records[0];
    let mixed = records
        .iter()
        .any(|record| record.value != first.value || record.version != first.version);
    ensure!(!mixed, "commits are mixed: {records:?}");
    Ok(())
}

/// Polls a future `polls` times and drops it.
async fn drop_after<T>(polls: usize, future: impl Future<Output = T>) {
    futures::pin_mut!(future);
    for _ in 0..polls {
        if futures::poll!(&mut future).is_ready() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

async fn cancelled_reads(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    for i in 0..50 {
        scope.put(&format!("k{i}"), "v").await?;
    }
    for i in 0..200 {
        drop_after(i % 3, scope.read("k1")).await;
        drop_after(i % 3, scope.keys(ListQuery::default())).await;
    }
    let racing = (0..50).map(|i| {
        let scope = &scope;
        async move {
            let soon = std::time::Duration::from_micros(i * 10);
            let _ = tokio::time::timeout(soon, scope.keys(ListQuery::default())).await;
        }
    });
    join_all(racing).await;
    same("the record", scope.text("k1").await?, Some("v".to_owned()))?;
    same("records", scope.keys(ListQuery::default()).await?.len(), 50)
}

async fn cancelled_commits(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    let group = |i: usize| {
        (0..3).fold(Commit::new(), |commit, part| {
            commit.put(
                scope.table(),
                format!("{i:03}/{part}"),
                Precondition::Any,
                text("v"),
            )
        })
    };
    for i in 0..100 {
        drop_after(i % 4, scope.commit(group(i))).await;
    }
    scope.commit(group(100)).await?;
    // One that was dropped may still be under way for a while, so this waits for a state of rest.
    eventually("every dropped commit is whole or absent", async || {
        let keys = scope.keys(ListQuery::default()).await?;
        ensure!(
            keys.iter().any(|key| key == "100/0"),
            "a commit that was not dropped is not there"
        );
        let parts = |i: usize| {
            let prefix = format!("{i:03}/");
            keys.iter().filter(|key| key.starts_with(&prefix)).count()
        };
        Ok((0..=100).all(|i| matches!(parts(i), 0 | 3)))
    })
    .await
}
