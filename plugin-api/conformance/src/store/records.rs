//! Rules about single records: what is put is what is read, wherever it is put.

use std::collections::BTreeMap;

use bytes::Bytes;
use micro_plugin_api::{
    StoreHandle,
    store::{Commit, Expiry, ListQuery, Precondition, Put, Table},
};

use super::{ODD_KEYS, Scope, TABLE, text};
use crate::{
    Case,
    check::{Verdict, ensure, same, unix_millis},
    suite::case,
};

pub(super) fn cases() -> Vec<Case<StoreHandle>> {
    vec![
        case!(
            "store.read.what-was-put",
            what_was_put,
            "A read brings key, value, metadata, expiry and the version that the commit returned."
        ),
        case!(
            "store.read.exact-key",
            exact_key,
            "A read answers for exactly its key, and with nothing for one that is absent."
        ),
        case!(
            "store.key.any-text",
            any_text,
            "Any text is a key: paths, wildcards, quotes, control characters, every script, each distinct."
        ),
        case!(
            "store.value.empty",
            empty_value,
            "An empty value is a value."
        ),
        case!(
            "store.value.one-mebibyte",
            large_value,
            "A value of one mebibyte of every byte comes back as it was."
        ),
        case!(
            "store.put.replaces-whole",
            replaces_whole,
            "A put replaces value, metadata and expiry; nothing of the former record stays."
        ),
        case!(
            "store.delete.removes",
            delete_removes,
            "A deleted record is absent to read and list."
        ),
        case!(
            "store.delete.absent-is-fine",
            delete_absent,
            "Deleting what is absent is no error."
        ),
        case!(
            "store.tables.isolated",
            tables_isolated,
            "Tables and databases of any name, the empty one included, do not see each other's records."
        ),
        case!(
            "store.databases.with-records",
            names,
            "Databases and tables are named, in order, from their first record until their last is gone."
        ),
    ]
}

async fn what_was_put(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    let metadata: BTreeMap<String, String> = [
        ("meta1", "val1"),
        ("", "empty"),
        ("ключ", ""),
        ("q", "a\"b\n"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let put = Put {
        value: Bytes::from_static(b"value"),
        metadata: metadata.clone(),
        expiry: Some(Expiry(unix_millis() + 3_600_123)),
    };
    let version = scope.write("key", Precondition::Any, put.clone()).await?;
    let Some(record) = scope.read("key").await? else {
        return Err(crate::check::Stop("the record is not there".into()));
    };
    same("key", record.key.as_str(), "key")?;
    same("value", &record.value, &put.value)?;
    same("metadata", &record.metadata, &metadata)?;
    same("expiry", record.expiry, put.expiry)?;
    same("version", record.version, version)?;
    let listed = scope.records(ListQuery::default()).await?;
    same("the list", listed, vec![record])
}

async fn exact_key(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    same("a table that never was", scope.read("key").await?, None)?;
    scope.put("key/1", "v").await?;
    for other in ["", "key", "key/", "key/11", "KEY/1", "key/1 "] {
        same(other, scope.read(other).await?, None)?;
    }
    same("the key", scope.text("key/1").await?, Some("v".to_owned()))
}

async fn any_text(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    let long = "k".repeat(512);
    let keys = || ODD_KEYS.into_iter().chain([long.as_str()]);
    for key in keys() {
        scope.put(key, &format!("value of {key}")).await?;
    }
    for key in keys() {
        let wanted = Some(format!("value of {key}"));
        same(
            &format!("the record {key:?}"),
            scope.text(key).await?,
            wanted,
        )?;
    }
    let mut wanted: Vec<_> = keys().map(str::to_owned).collect();
    wanted.sort();
    same("all keys", scope.keys(ListQuery::default()).await?, wanted)
}

async fn empty_value(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    scope.put("empty", "").await?;
    same("the value", scope.text("empty").await?, Some(String::new()))
}

async fn large_value(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    let value: Bytes = (0..1 << 20).map(|i: u32| (i ^ (i >> 8)) as u8).collect();
    let put = Put {
        value: value.clone(),
        ..Put::default()
    };
    scope.write("large", Precondition::Any, put).await?;
    let read = scope.read("large").await?;
    ensure!(
        read.is_some_and(|record| record.value == value),
        "the value read is not the one put"
    );
    let listed = scope.records(ListQuery::default()).await?;
    ensure!(
        listed.len() == 1 && listed[0].value == value,
        "the value listed is not the one put"
    );
    Ok(())
}

async fn replaces_whole(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    let first = Put {
        metadata: [("old".to_owned(), "1".to_owned())].into(),
        expiry: Some(Expiry(unix_millis() + 3_600_000)),
        ..text("first, and longer")
    };
    let before = scope.write("key", Precondition::Any, first).await?;
    let after = scope.put("key", "second").await?;
    ensure!(before != after, "both states have the version {after:?}");
    let record = scope.read("key").await?;
    let seen = record.map(|r| (r.value, r.metadata, r.expiry, r.version));
    let wanted = (Bytes::from_static(b"second"), BTreeMap::new(), None, after);
    same("the record", seen, Some(wanted))
}

async fn delete_removes(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    scope.put("a", "1").await?;
    scope.put("b", "2").await?;
    scope.delete("a").await?;
    same("the deleted record", scope.read("a").await?, None)?;
    same(
        "the list",
        scope.keys(ListQuery::default()).await?,
        vec!["b".to_owned()],
    )
}

async fn delete_absent(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    scope.delete("never").await?;
    scope.put("once", "1").await?;
    scope.delete("once").await?;
    scope.delete("once").await?;
    Ok(())
}

async fn tables_isolated(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    let db = scope.database.as_str();
    let (slashed, cased) = (format!("{db}/a"), db.to_uppercase());
    let places = [
        Table::new(db, TABLE),
        Table::new(db, "TABLE"),
        Table::new(db, ""),
        Table::new(db, "a/b"),
        Table::new(&slashed, "b"),
        Table::new(&slashed, ""),
        Table::new(&cased, TABLE),
        Table::new(db, "é%_"),
        Table::new(db, "e\u{301}%_"),
    ];
    for (i, table) in places.into_iter().enumerate() {
        let put = text(&i.to_string());
        let commit = Commit::new().put(table, "key", Precondition::Absent, put);
        scope.commit(commit).await?;
    }
    for (i, table) in places.into_iter().enumerate() {
        let records = scope.records_in(table, ListQuery::default()).await?;
        let values: Vec<_> = records.iter().map(|record| &record.value[..]).collect();
        same(
            &format!("values in {table:?}"),
            values,
            vec![i.to_string().as_bytes()],
        )?;
    }
    let commit = Commit::new().delete(places[0], "key", Precondition::Any);
    scope.commit(commit).await?;
    for table in places.into_iter().skip(1) {
        let there = scope.store.read(&scope.call, table, "key").await?.is_some();
        ensure!(there, "a delete in {:?} deleted from {table:?}", places[0]);
    }
    Ok(())
}

async fn names(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    let db = scope.database.as_str();
    let known = async || -> Verdict<bool> {
        let databases = scope.store.databases(&scope.call).await?;
        ensure!(
            databases.is_sorted(),
            "databases out of order: {databases:?}"
        );
        Ok(databases.iter().any(|name| name == db))
    };
    ensure!(!known().await?, "a database that never was is named");
    same(
        "tables of no database",
        scope.store.tables(&scope.call, db).await?,
        vec![],
    )?;
    let names = ["b", "", "a/b", "日本"];
    for name in names {
        let commit = Commit::new().put(Table::new(db, name), "k", Precondition::Any, text(""));
        scope.commit(commit).await?;
    }
    ensure!(known().await?, "the database is not named");
    let mut wanted = names.map(str::to_owned).to_vec();
    wanted.sort();
    same("tables", scope.store.tables(&scope.call, db).await?, wanted)?;
    for name in names {
        let commit = Commit::new().delete(Table::new(db, name), "k", Precondition::Any);
        scope.commit(commit).await?;
    }
    same(
        "tables without records",
        scope.store.tables(&scope.call, db).await?,
        vec![],
    )?;
    ensure!(!known().await?, "a database without records is named");
    Ok(())
}
