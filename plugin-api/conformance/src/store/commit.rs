//! Rules about commits: all or nothing, their bounds, preconditions and versions.

use std::collections::HashSet;

use micro_plugin_api::{
    Code, StoreHandle,
    store::{Commit, ListQuery, Precondition, Table, Version},
};

use super::{Scope, text};
use crate::{
    Case,
    check::{Verdict, ensure, fails, same},
    suite::case,
};

pub(super) fn cases() -> Vec<Case<StoreHandle>> {
    vec![
        case!(
            "store.commit.sixty-four",
            sixty_four,
            "A commit of 64 operations goes through, and its records all have the version it returned."
        ),
        case!(
            "store.commit.at-most-sixty-four",
            too_many,
            "A commit of more than 64 operations is invalid and changes nothing."
        ),
        case!(
            "store.commit.no-key-twice",
            no_key_twice,
            "A commit that names a key twice is invalid and changes nothing; the same key elsewhere is another."
        ),
        case!(
            "store.commit.all-or-nothing",
            all_or_nothing,
            "When one precondition does not hold, none of the commit's operations happens."
        ),
        case!(
            "store.commit.across-tables",
            across_tables,
            "One commit may put and delete in several tables and databases."
        ),
        case!(
            "store.commit.conflict-names-key",
            conflict_names_key,
            "The error of a precondition that does not hold is a conflict that names the key."
        ),
        case!(
            "store.precondition.absent",
            absent,
            "Absent holds where there is no record, for puts and deletes."
        ),
        case!(
            "store.precondition.version",
            version,
            "A version holds for the state that it was returned for, and for no other."
        ),
        case!(
            "store.version.never-reused",
            never_reused,
            "No two states of a key have the same version, deletions and equal values in between included."
        ),
    ]
}

fn puts(scope: &Scope, count: usize) -> Commit {
    (0..count).fold(Commit::new(), |commit, i| {
        commit.put(
            scope.table(),
            format!("k{i:02}"),
            Precondition::Any,
            text("new"),
        )
    })
}

async fn sixty_four(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    let version = scope.commit(puts(&scope, Commit::MAX_OPERATIONS)).await?;
    let records = scope.records(ListQuery::default()).await?;
    same("records", records.len(), Commit::MAX_OPERATIONS)?;
    let versions: HashSet<_> = records.iter().map(|record| record.version).collect();
    same("versions", versions, HashSet::from([version]))?;
    scope.commit(Commit::new()).await?;
    Ok(())
}

async fn too_many(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    let result = scope.commit(puts(&scope, Commit::MAX_OPERATIONS + 1)).await;
    fails("65 operations", result, Code::INVALID)?;
    same("keys", scope.keys(ListQuery::default()).await?, vec![])
}

async fn no_key_twice(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    let table = scope.table();
    let commits = [
        puts(&scope, 2).put(table, "k00", Precondition::Any, text("again")),
        puts(&scope, 2).delete(table, "k01", Precondition::Any),
    ];
    for commit in commits {
        fails("a key twice", scope.commit(commit).await, Code::INVALID)?;
        same("keys", scope.keys(ListQuery::default()).await?, vec![])?;
    }
    let other = Table::new(&scope.database, "other");
    let commit = puts(&scope, 2).put(other, "k00", Precondition::Any, text("other"));
    scope.commit(commit).await?;
    same("the key", scope.text("k00").await?, Some("new".to_owned()))
}

async fn all_or_nothing(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    scope.put("k00", "old").await?;
    scope.put("stays", "old").await?;
    let table = scope.table();
    let elsewhere = Table::new(&scope.database, "elsewhere");
    for position in ["first", "last"] {
        let failing = |commit: Commit| commit.put(table, "stays", Precondition::Absent, text("x"));
        let rest = |commit: Commit| {
            let commit =
                puts(&scope, 60)
                    .operations
                    .into_iter()
                    .fold(commit, |mut c, operation| {
                        c.operations.push(operation);
                        c
                    });
            commit.put(elsewhere, "k", Precondition::Any, text("x"))
        };
        let commit = match position {
            "first" => rest(failing(Commit::new())),
            _ => failing(rest(Commit::new())),
        };
        let what = format!("the precondition that fails is {position}");
        fails(&what, scope.commit(commit).await, Code::CONFLICT)?;
        let keys = scope.keys(ListQuery::default()).await?;
        same(&what, keys, vec!["k00".to_owned(), "stays".to_owned()])?;
        same(&what, scope.text("k00").await?, Some("old".to_owned()))?;
        same(
            &what,
            scope.records_in(elsewhere, ListQuery::default()).await?,
            vec![],
        )?;
    }
    Ok(())
}

async fn across_tables(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    scope.put("goes", "1").await?;
    let database = format!("{}-2", scope.database);
    let places = [
        Table::new(&scope.database, "t2"),
        Table::new(&database, "t"),
    ];
    let mut commit = Commit::new().delete(scope.table(), "goes", Precondition::Any);
    for table in places {
        commit = commit.put(table, "comes", Precondition::Absent, text("2"));
    }
    let version = scope.commit(commit).await?;
    same("the deleted record", scope.read("goes").await?, None)?;
    for table in places {
        let record = scope.store.read(&scope.call, table, "comes").await?;
        same(
            "the version",
            record.map(|record| record.version),
            Some(version),
        )?;
    }
    Ok(())
}

async fn conflict_names_key(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    scope.put("the-key-at-fault", "1").await?;
    let commit = puts(&scope, 3).put(
        scope.table(),
        "the-key-at-fault",
        Precondition::Absent,
        text("2"),
    );
    let error = fails("a conflict", scope.commit(commit).await, Code::CONFLICT)?;
    ensure!(
        error.message().contains("the-key-at-fault"),
        "the message does not name the key: {}",
        error.message()
    );
    Ok(())
}

async fn absent(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    let create = async || scope.write("k", Precondition::Absent, text("1")).await;
    create().await?;
    fails("creating twice", create().await, Code::CONFLICT)?;
    let delete = || Commit::new().delete(scope.table(), "k", Precondition::Absent);
    fails("deleting", scope.commit(delete()).await, Code::CONFLICT)?;
    same("the record", scope.text("k").await?, Some("1".to_owned()))?;
    scope.delete("k").await?;
    scope.commit(delete()).await?;
    create().await?;
    Ok(())
}

async fn version(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    let swap = async |version, value| {
        scope
            .write("k", Precondition::Version(version), text(value))
            .await
    };
    let first = scope.put("k", "1").await?;
    let second = swap(first, "2").await?;
    fails("the former version", swap(first, "x").await, Code::CONFLICT)?;
    let delete = |version| Commit::new().delete(scope.table(), "k", Precondition::Version(version));
    fails(
        "deleting the former version",
        scope.commit(delete(first)).await,
        Code::CONFLICT,
    )?;
    same("the record", scope.text("k").await?, Some("2".to_owned()))?;
    let elsewhere = scope
        .write("other", Precondition::Version(second), text("x"))
        .await;
    fails("a version of another key", elsewhere, Code::CONFLICT)?;
    scope.commit(delete(second)).await?;
    fails(
        "the version of a deleted record",
        swap(second, "x").await,
        Code::CONFLICT,
    )?;
    fails(
        "no such version",
        swap(Version(u64::MAX), "x").await,
        Code::CONFLICT,
    )?;
    same("the record", scope.read("k").await?, None)
}

async fn never_reused(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    let mut seen = HashSet::new();
    let mut stale = Vec::new();
    for round in 0..50 {
        let version = scope.put("k", &(round % 3).to_string()).await?;
        ensure!(seen.insert(version), "version {version:?} was given twice");
        stale.push(version);
        if round % 2 == 0 {
            scope.delete("k").await?;
        }
    }
    let last = stale.pop();
    for version in stale {
        let result = scope
            .write("k", Precondition::Version(version), text("x"))
            .await;
        fails("a stale version", result, Code::CONFLICT)?;
    }
    let record = scope.read("k").await?;
    same(
        "the last version",
        record.map(|record| record.version),
        last,
    )
}
