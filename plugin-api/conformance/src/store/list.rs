//! Rules about one list: which records, in which order, and how many.

use micro_plugin_api::{
    Code, StoreHandle,
    store::{Cursor, Fields, ListQuery, Order},
};

use super::{ODD_KEYS, Scope};
use crate::{
    Case,
    check::{Verdict, ensure, fails, same},
    suite::case,
};

pub(super) fn cases() -> Vec<Case<StoreHandle>> {
    vec![
        case!(
            "store.list.key-order",
            key_order,
            "A list is in the order of the keys' bytes, ascending unless told otherwise."
        ),
        case!(
            "store.list.prefix-is-literal",
            prefix_is_literal,
            "A prefix selects the keys that begin with exactly it; nothing in it is a wildcard."
        ),
        case!(
            "store.list.suffix-is-literal",
            suffix_is_literal,
            "A suffix selects the keys that end with exactly it; nothing in it is a wildcard."
        ),
        case!(
            "store.list.prefix-and-suffix",
            prefix_and_suffix,
            "With prefix and suffix a key must match both, which may overlap in it."
        ),
        case!(
            "store.list.limit",
            limit,
            "A page never holds more records than its limit."
        ),
        case!(
            "store.list.skip",
            skip,
            "Skip passes over the first matching records, in the list's order, and may pass over all."
        ),
        case!(
            "store.list.descending",
            descending,
            "Descending is the mirror image of ascending, under limit, skip, prefix and suffix too."
        ),
        case!(
            "store.list.keys-alone",
            keys_alone,
            "A list of keys brings key, version and expiry, and neither value nor metadata."
        ),
        case!(
            "store.list.empty",
            empty,
            "A list that matches nothing is empty, and no error."
        ),
        case!(
            "store.list.foreign-cursor",
            foreign_cursor,
            "A cursor that the store did not give is invalid."
        ),
    ]
}

fn owned(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|&key| key.to_owned()).collect()
}

async fn with_keys(store: StoreHandle, keys: &[&str]) -> Verdict<Scope> {
    let scope = Scope::new(store);
    for key in keys {
        scope.put(key, key).await?;
    }
    Ok(scope)
}

async fn key_order(store: StoreHandle) -> Verdict {
    let scope = with_keys(
        store,
        &[
            "b", "a", "aa", "B", "", "a/", "ä", "z", "\u{ffff}", "🦀", "10", "9",
        ],
    )
    .await?;
    let mut wanted = owned(&[
        "b", "a", "aa", "B", "", "a/", "ä", "z", "\u{ffff}", "🦀", "10", "9",
    ]);
    wanted.sort();
    same("keys", scope.keys(ListQuery::default()).await?, wanted)
}

async fn prefix_is_literal(store: StoreHandle) -> Verdict {
    let scope = with_keys(store, &ODD_KEYS).await?;
    for key in [
        "ab", "axb", "a%bc", "a_bc", "a*b?c", "[a]c", "a\\bc", "foo/bar", "foo/baz", "foo",
    ] {
        scope.put(key, key).await?;
    }
    let all = scope.keys(ListQuery::default()).await?;
    for prefix in [
        "",
        "a",
        "a%",
        "a_",
        "a*",
        "[a",
        "[",
        "a\\",
        "foo/",
        "é",
        "e",
        "日",
        "%",
        "_",
        "\u{10ffff}",
    ] {
        let wanted: Vec<_> = all
            .iter()
            .filter(|key| key.starts_with(prefix))
            .cloned()
            .collect();
        let query = ListQuery {
            prefix,
            ..ListQuery::default()
        };
        same(
            &format!("prefix {prefix:?}"),
            scope.keys(query).await?,
            wanted,
        )?;
    }
    Ok(())
}

async fn suffix_is_literal(store: StoreHandle) -> Verdict {
    let scope = with_keys(store, &ODD_KEYS).await?;
    for key in ["ab", "axb", "xa%b", "xa_b", "foo/bar", "foofoo", "barfoo"] {
        scope.put(key, key).await?;
    }
    let all = scope.keys(ListQuery::default()).await?;
    for suffix in [
        "b", "%b", "_b", "b?", "a]", "\\b", "foo", "/bar", "é", "\u{301}", "語", "%", "_", "*",
    ] {
        let wanted: Vec<_> = all
            .iter()
            .filter(|key| key.ends_with(suffix))
            .cloned()
            .collect();
        let query = ListQuery {
            suffix,
            ..ListQuery::default()
        };
        same(
            &format!("suffix {suffix:?}"),
            scope.keys(query).await?,
            wanted,
        )?;
    }
    Ok(())
}

async fn prefix_and_suffix(store: StoreHandle) -> Verdict {
    let scope = with_keys(store, &["foofoobarbar", "foofoo", "barbar", "foo", "fofoo"]).await?;
    let query = ListQuery {
        prefix: "foo",
        suffix: "foo",
        ..ListQuery::default()
    };
    same("keys", scope.keys(query).await?, owned(&["foo", "foofoo"]))
}

async fn ten(store: StoreHandle) -> Verdict<(Scope, Vec<String>)> {
    let scope = with_keys(store, &["other", "a", "b-list"]).await?;
    let keys: Vec<_> = (0..10).map(|i| format!("list{i}")).collect();
    for key in &keys {
        scope.put(key, key).await?;
    }
    Ok((scope, keys))
}

async fn limit(store: StoreHandle) -> Verdict {
    let (scope, keys) = ten(store).await?;
    for limit in [1, 5, 10, 30] {
        let query = ListQuery {
            prefix: "list",
            limit,
            ..ListQuery::default()
        };
        let page = scope.store.list(&scope.call, scope.table(), &query).await?;
        ensure!(
            page.records.len() <= limit,
            "{} records with limit {limit}",
            page.records.len()
        );
        let wanted = keys[..limit.min(10)].to_vec();
        same(
            &format!("limit {limit}"),
            scope.first_keys(limit, query).await?,
            wanted,
        )?;
    }
    Ok(())
}

async fn skip(store: StoreHandle) -> Verdict {
    let (scope, keys) = ten(store).await?;
    for (skip, limit, wanted) in [
        (0, 2, &keys[..2]),
        (6, 0, &keys[6..]),
        (6, 2, &keys[6..8]),
        (5, 30, &keys[5..]),
        (10, 0, &[][..]),
        (u64::MAX, 5, &[][..]),
    ] {
        let query = ListQuery {
            prefix: "list",
            skip,
            ..ListQuery::default()
        };
        let seen = match limit {
            0 => scope.keys(query).await?,
            limit => scope.first_keys(limit, query).await?,
        };
        same(
            &format!("skip {skip}, limit {limit}"),
            seen,
            wanted.to_vec(),
        )?;
    }
    Ok(())
}

async fn descending(store: StoreHandle) -> Verdict {
    let (scope, mut keys) = ten(store).await?;
    keys.reverse();
    let query = |skip| ListQuery {
        prefix: "list",
        order: Order::Descending,
        skip,
        ..ListQuery::default()
    };
    same("all", scope.keys(query(0)).await?, keys.clone())?;
    same("skip 6", scope.keys(query(6)).await?, keys[6..].to_vec())?;
    same(
        "skip 3, limit 4",
        scope.first_keys(4, query(3)).await?,
        keys[3..7].to_vec(),
    )?;
    let query = ListQuery {
        prefix: "",
        suffix: "t3",
        ..query(0)
    };
    same("suffix", scope.keys(query).await?, owned(&["list3"]))?;
    let mut all = scope.keys(ListQuery::default()).await?;
    all.reverse();
    let query = ListQuery {
        order: Order::Descending,
        ..ListQuery::default()
    };
    same("without a prefix", scope.keys(query).await?, all)
}

async fn keys_alone(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    let expiry = micro_plugin_api::store::Expiry(crate::check::unix_millis() + 3_600_000);
    let put = micro_plugin_api::store::Put {
        metadata: [("m".to_owned(), "1".to_owned())].into(),
        expiry: Some(expiry),
        ..super::text("value")
    };
    let version = scope
        .write("k", micro_plugin_api::store::Precondition::Any, put)
        .await?;
    let query = ListQuery {
        fields: Fields::Keys,
        ..ListQuery::default()
    };
    let records = scope.records(query).await?;
    same("records", records.len(), 1)?;
    let record = &records[0];
    same("key", record.key.as_str(), "k")?;
    same("version", record.version, version)?;
    same("expiry", record.expiry, Some(expiry))?;
    ensure!(
        record.value.is_empty() && record.metadata.is_empty(),
        "value or metadata came with the key"
    );
    Ok(())
}

async fn empty(store: StoreHandle) -> Verdict {
    let scope = Scope::new(store);
    same("no table", scope.keys(ListQuery::default()).await?, vec![])?;
    scope.put("a", "1").await?;
    let query = ListQuery {
        prefix: "b",
        ..ListQuery::default()
    };
    same("no match", scope.keys(query).await?, vec![])
}

async fn foreign_cursor(store: StoreHandle) -> Verdict {
    let (scope, _) = ten(store).await?;
    for cursor in ["", "list3", "0", "{}", "not a cursor of this store", "é🦀"] {
        let cursor = Cursor(cursor.to_owned());
        let query = ListQuery {
            cursor: Some(&cursor),
            ..ListQuery::default()
        };
        let result = scope.store.list(&scope.call, scope.table(), &query).await;
        fails(&format!("cursor {:?}", cursor.0), result, Code::INVALID)?;
    }
    Ok(())
}
