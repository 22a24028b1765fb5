//! Rules about walks from page to page, alone and among writers.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use micro_plugin_api::{
    StoreHandle,
    store::{Commit, ListQuery, Order, Precondition},
};

use super::{Scope, text};
use crate::{
    Case,
    check::{Verdict, ensure, joined, same},
    suite::case,
};

pub(super) fn cases() -> Vec<Case<StoreHandle>> {
    vec![
        case!(
            "store.walk.whole",
            whole,
            "A walk along the cursors brings every match once, in order, whatever the limit."
        ),
        case!(
            "store.walk.skip-once",
            skip_once,
            "Skip counts from the beginning of the walk, not from each page."
        ),
        case!(
            "store.walk.after-deletion",
            after_deletion,
            "A walk goes on when the records that it has brought are deleted behind it."
        ),
        case!(
            "store.walk.among-writers",
            among_writers,
            "While others write, a walk repeats no key and misses none that was present throughout."
        ),
    ]
}

const COUNT: usize = 100;

/// A table with [`COUNT`] keys, and them in order.
async fn filled(store: StoreHandle) -> Verdict<(Scope, Vec<String>)> {
    let scope = Scope::new(store);
    let keys: Vec<_> = (0..COUNT).map(|i| format!("k/{i:03}/{}", i % 2)).collect();
    for half in keys.chunks(Commit::MAX_OPERATIONS) {
        let commit = half.iter().fold(Commit::new(), |commit, key| {
            commit.put(scope.table(), key, Precondition::Any, text(key))
        });
        scope.commit(commit).await?;
    }
    Ok((scope, keys))
}

/// Walks with pages of `query.limit`, calling `between` with each page's keys.
async fn walk(
    scope: &Scope,
    query: ListQuery<'_>,
    mut between: impl AsyncFnMut(&[String]) -> Verdict,
) -> Verdict<Vec<String>> {
    let (mut keys, mut cursor) = (Vec::new(), None);
    loop {
        let query = ListQuery {
            cursor: cursor.as_ref(),
            ..query.clone()
        };
        let page = scope.store.list(&scope.call, scope.table(), &query).await?;
        let brought: Vec<_> = page.records.into_iter().map(|record| record.key).collect();
        ensure!(
            brought.len() <= query.limit,
            "{} records with limit {}",
            brought.len(),
            query.limit
        );
        between(&brought).await?;
        keys.extend(brought);
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(keys),
        }
    }
}

async fn whole(store: StoreHandle) -> Verdict {
    let (scope, keys) = filled(store).await?;
    for limit in [1, 7, COUNT - 1, COUNT, COUNT + 1] {
        for (order, suffix) in [
            (Order::Ascending, ""),
            (Order::Descending, ""),
            (Order::Ascending, "/1"),
            (Order::Descending, "/1"),
        ] {
            let mut wanted: Vec<_> = keys
                .iter()
                .filter(|k| k.ends_with(suffix))
                .cloned()
                .collect();
            if order == Order::Descending {
                wanted.reverse();
            }
            let query = ListQuery {
                prefix: "k/",
                suffix,
                order,
                limit,
                ..ListQuery::default()
            };
            let what = format!("limit {limit}, {order:?}, suffix {suffix:?}");
            same(&what, walk(&scope, query, async |_| Ok(())).await?, wanted)?;
        }
    }
    Ok(())
}

async fn skip_once(store: StoreHandle) -> Verdict {
    let (scope, mut keys) = filled(store).await?;
    let query = |order| ListQuery {
        limit: 7,
        skip: 20,
        order,
        ..ListQuery::default()
    };
    let seen = walk(&scope, query(Order::Ascending), async |_| Ok(())).await?;
    same("ascending", seen, keys[20..].to_vec())?;
    keys.reverse();
    let seen = walk(&scope, query(Order::Descending), async |_| Ok(())).await?;
    same("descending", seen, keys[20..].to_vec())
}

async fn after_deletion(store: StoreHandle) -> Verdict {
    let (scope, keys) = filled(store).await?;
    let query = ListQuery {
        limit: 9,
        ..ListQuery::default()
    };
    let seen = walk(&scope, query, async |brought| {
        for key in brought {
            scope.delete(key).await?;
        }
        Ok(())
    })
    .await?;
    same("keys", seen, keys)?;
    same(
        "what is left",
        scope.keys(ListQuery::default()).await?,
        vec![],
    )
}

async fn among_writers(store: StoreHandle) -> Verdict {
    let (scope, keys) = filled(store).await?;
    let done = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..3)
        .map(|writer| {
            let (scope, keys, done) = (scope.clone(), keys.clone(), done.clone());
            tokio::spawn(async move {
                for round in 0_usize.. {
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                    // A neighbour that comes and goes, before and after a key that stays.
                    let stays = &keys[(round * 37 + writer) % COUNT];
                    let comes = format!("{stays}/{writer}");
                    scope.put(&comes, "").await?;
                    scope.put(stays, &round.to_string()).await?;
                    scope.delete(&comes).await?;
                    tokio::task::yield_now().await;
                }
                Verdict::Ok(())
            })
        })
        .collect();
    let mut verdict = Ok(());
    for round in 0..20 {
        let order = match round % 2 {
            0 => Order::Ascending,
            _ => Order::Descending,
        };
        verdict = one_walk(&scope, &keys, order, 1 + round % 7).await;
        if verdict.is_err() {
            break;
        }
    }
    done.store(true, Ordering::Relaxed);
    for writer in writers {
        joined(writer).await??;
    }
    verdict
}

async fn one_walk(scope: &Scope, keys: &[String], order: Order, limit: usize) -> Verdict {
    let query = ListQuery {
        order,
        limit,
        ..ListQuery::default()
    };
    let seen = walk(scope, query, async |_| {
        tokio::task::yield_now().await;
        Ok(())
    })
    .await?;
    let distinct: BTreeSet<_> = seen.iter().collect();
    ensure!(
        distinct.len() == seen.len(),
        "a key was repeated in {seen:?}"
    );
    let sorted = match order {
        Order::Ascending => seen.is_sorted(),
        Order::Descending => seen.iter().rev().is_sorted(),
    };
    ensure!(sorted, "out of order: {seen:?}");
    let missed = keys.iter().find(|key| !distinct.contains(key));
    ensure!(
        missed.is_none(),
        "missed {missed:?}, which was there throughout"
    );
    Ok(())
}
