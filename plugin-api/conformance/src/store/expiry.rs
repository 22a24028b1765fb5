//! Rules about expiry: expired means absent, to the millisecond, to whoever asks.

use std::time::Duration;

use micro_plugin_api::{
    Code, StoreHandle,
    store::{Commit, Expiry, Fields, ListQuery, Precondition, Put},
};

use super::{Scope, text};
use crate::{
    Case,
    check::{Verdict, ensure, fails, same, unix_millis},
    suite::case,
    wait::eventually,
};

pub(super) fn cases() -> Vec<Case<StoreHandle>> {
    vec![
        case!(
            "store.expiry.read",
            read,
            "A record is read until the millisecond of its expiry, and not from then on."
        ),
        case!(
            "store.expiry.list",
            list,
            "A record is listed, by itself or by prefix, until the millisecond of its expiry."
        ),
        case!(
            "store.expiry.precondition",
            precondition,
            "To preconditions a record is present until the millisecond of its expiry, then absent."
        ),
        case!(
            "store.expiry.names",
            names,
            "A database and a table whose records have all expired are not named."
        ),
        case!(
            "store.expiry.one-by-one",
            one_by_one,
            "Each record expires at its own time; those beside it stay."
        ),
        case!(
            "store.expiry.in-the-past",
            in_the_past,
            "A record put with an expiry that has passed is absent at once, and replaces what was there."
        ),
        case!(
            "store.expiry.renewed",
            renewed,
            "A put with a later expiry, or with none, keeps the record beyond the former one."
        ),
        case!(
            "store.expiry.skip",
            skip,
            "Skip and limit do not count expired records."
        ),
    ]
}

/// Long enough to see the record before it expires, short enough to wait for.
const TTL: Duration = Duration::from_millis(150);

/// Asks `is_there` until it says no, and checks each answer against the clock: yes must have been
/// true when the question was put, no when the answer came.
async fn until_absent(
    what: &str,
    expiry: Expiry,
    mut is_there: impl AsyncFnMut() -> Verdict<bool>,
) -> Verdict {
    eventually(&format!("{what} is absent"), async || {
        let before = unix_millis();
        let there = is_there().await?;
        let after = unix_millis();
        if there {
            ensure!(
                before < expiry.0,
                "{what} is there {} ms after its expiry",
                before - expiry.0
            );
        } else {
            ensure!(
                after >= expiry.0,
                "{what} is absent {} ms before its expiry",
                expiry.0 - after
            );
        }
        Ok(!there)
    })
    .await
}

async fn read(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    let expiry = Expiry::after(TTL);
    scope.put_until("k", expiry).await?;
    until_absent("the record", expiry, async || {
        Ok(scope.read("k").await?.is_some())
    })
    .await
}

async fn list(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    let query = |fields, prefix| ListQuery {
        fields,
        prefix,
        ..ListQuery::default()
    };
    for query in [
        query(Fields::All, ""),
        query(Fields::Keys, ""),
        query(Fields::All, "foo/"),
        ListQuery {
            suffix: "/bar",
            ..ListQuery::default()
        },
    ] {
        let expiry = Expiry::after(TTL);
        scope.put_until("foo/bar", expiry).await?;
        until_absent("the listed record", expiry, async || {
            Ok(!scope.keys(query.clone()).await?.is_empty())
        })
        .await?;
    }
    Ok(())
}

async fn precondition(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    let expiry = Expiry::after(TTL);
    let stale = scope.put_until("k", expiry).await?;
    let later = scope.put_until("v", expiry).await?;
    until_absent(
        "the record, to a precondition,",
        expiry,
        async || match scope.write("k", Precondition::Absent, text("new")).await {
            Ok(_) => Ok(false),
            Err(error) if error.code() == Code::CONFLICT => Ok(true),
            Err(error) => Err(error.into()),
        },
    )
    .await?;
    let result = scope
        .write("k", Precondition::Version(stale), text(""))
        .await;
    fails("the version before expiry", result, Code::CONFLICT)?;
    let result = scope
        .write("v", Precondition::Version(later), text(""))
        .await;
    fails("the version of an expired record", result, Code::CONFLICT)?;
    same(
        "the new record",
        scope.text("k").await?,
        Some("new".to_owned()),
    )
}

async fn names(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    let db = scope.database.as_str();
    let expiry = Expiry::after(TTL);
    scope.put_until("k", expiry).await?;
    until_absent("the table's name", expiry, async || {
        Ok(!scope.store.tables(&scope.call, db).await?.is_empty())
    })
    .await?;
    let expiry = Expiry::after(TTL);
    scope.put_until("k", expiry).await?;
    until_absent("the database's name", expiry, async || {
        let databases = scope.store.databases(&scope.call).await?;
        Ok(databases.iter().any(|name| name == db))
    })
    .await
}

async fn one_by_one(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    let keys = ["foo1", "foo2", "foo3"];
    let expiries = [150, 300, 450].map(|ms| Expiry::after(Duration::from_millis(ms)));
    scope.put("foo4", "stays").await?;
    for (key, expiry) in keys.iter().zip(expiries) {
        scope.put_until(key, expiry).await?;
    }
    eventually("the last record has expired", async || {
        let before = unix_millis();
        let seen = scope
            .keys(ListQuery {
                prefix: "foo",
                ..ListQuery::default()
            })
            .await?;
        let after = unix_millis();
        for (key, expiry) in keys.iter().zip(expiries) {
            let there = seen.iter().any(|seen| seen == key);
            ensure!(
                !there || before < expiry.0,
                "{key} is there after its expiry"
            );
            ensure!(
                there || after >= expiry.0,
                "{key} is absent before its expiry"
            );
        }
        ensure!(
            seen.iter().any(|key| key == "foo4"),
            "foo4 went with the others"
        );
        Ok(seen.len() == 1)
    })
    .await
}

async fn in_the_past(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    scope.put("k", "old").await?;
    for expiry in [Expiry(unix_millis() - 1), Expiry(0)] {
        scope.put_until("k", expiry).await?;
        same("the record", scope.read("k").await?, None)?;
        same("the list", scope.keys(ListQuery::default()).await?, vec![])?;
    }
    scope.write("k", Precondition::Absent, text("new")).await?;
    Ok(())
}

async fn renewed(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    let (first, far) = (Expiry::after(TTL), Expiry(unix_millis() + 3_600_000));
    for key in ["later", "never", "witness"] {
        scope.put_until(key, first).await?;
    }
    scope.put_until("later", far).await?;
    scope.put("never", "").await?;
    eventually("the witness has expired", async || {
        Ok(scope.read("witness").await?.is_none())
    })
    .await?;
    let seen = scope.keys(ListQuery::default()).await?;
    same(
        "what is left",
        seen,
        vec!["later".to_owned(), "never".to_owned()],
    )
}

async fn skip(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    let commit = (0..10).fold(Commit::new(), |commit, i| {
        let expiry = (i % 2 == 0).then_some(Expiry(1));
        let put = Put { expiry, ..text("") };
        commit.put(scope.table(), format!("k{i}"), Precondition::Any, put)
    });
    scope.commit(commit).await?;
    let query = ListQuery {
        skip: 1,
        ..ListQuery::default()
    };
    let seen = scope.first_keys(3, query).await?;
    same("keys", seen, ["k3", "k5", "k7"].map(str::to_owned).to_vec())
}
