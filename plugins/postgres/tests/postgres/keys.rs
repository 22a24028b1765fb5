//! Keys and pages beyond the ordinary: longer than an index takes, larger than a page holds.

use std::collections::BTreeSet;

use bytes::Bytes;
use micro_plugin_api::{
    blob::{BlobKey, BlobMeta, BlobQuery},
    store::{
        Commit, Cursor, Fields, ListQuery, Operation, Order, Precondition, Put, Record, Version,
    },
};

use crate::common::{Instance, TABLE, call, new_database, settings, text};

/// Keys around the lengths at which they are cut, many of which begin or end alike.
fn long_keys() -> Vec<String> {
    let mut keys = BTreeSet::new();
    for len in [0, 1, 255, 256, 257, 1_023, 1_024, 1_025, 3_000] {
        let stem = "x".repeat(len);
        for end in ["", "a", "b", "é", "\0"] {
            keys.insert(format!("{stem}{end}"));
            keys.insert(format!("{end}{stem}"));
        }
    }
    keys.insert("x".repeat(Operation::MAX_KEY));
    keys.insert(format!("{}b", "x".repeat(Operation::MAX_KEY - 1)));
    keys.into_iter().collect()
}

async fn walk(instance: &Instance, query: &ListQuery<'_>) -> Vec<Record> {
    let (mut records, mut cursor) = (Vec::new(), None::<Cursor>);
    loop {
        let query = ListQuery {
            cursor: cursor.as_ref(),
            ..query.clone()
        };
        let page = instance.store.list(&call(), TABLE, &query).await.unwrap();
        records.extend(page.records);
        match page.next {
            Some(next) => cursor = Some(next),
            None => return records,
        }
    }
}

#[tokio::test]
async fn long_keys_are_found_by_beginning_and_end_and_in_order() {
    let instance = Instance::open(settings(new_database().await))
        .await
        .unwrap();
    let keys = long_keys();
    let mut all = Vec::new();
    for some in keys.chunks(Commit::MAX_OPERATIONS) {
        let commit = some.iter().fold(Commit::new(), |commit, key| {
            commit.put(TABLE, key, Precondition::Absent, text(key))
        });
        let version = instance.store.commit(&call(), &commit).await.unwrap();
        all.extend(commit.operations.iter().filter_map(|it| it.record(version)));
    }
    for key in &keys {
        let value = instance.value(key).await.unwrap();
        assert_eq!(value.as_deref(), Some(key.as_bytes()));
    }
    let x = |len| "x".repeat(len);
    for (prefix, suffix) in [
        (String::new(), String::new()),
        (x(1), String::new()),
        (x(1_024), String::new()),
        (x(1_030), String::new()),
        (format!("{}b", x(1_024)), String::new()),
        (String::new(), "b".to_owned()),
        (String::new(), "é".to_owned()),
        (String::new(), "\0".to_owned()),
        (String::new(), x(256)),
        (String::new(), x(257)),
        (String::new(), format!("{}a", x(1_024))),
        (x(1_025), "b".to_owned()),
    ] {
        for (order, limit) in [(Order::Ascending, 0), (Order::Descending, 3)] {
            let query = ListQuery {
                prefix: &prefix,
                suffix: &suffix,
                order,
                limit,
                fields: Fields::Keys,
                ..ListQuery::default()
            };
            let seen: Vec<_> = walk(&instance, &query)
                .await
                .into_iter()
                .map(|it| it.key)
                .collect();
            let everything = ListQuery {
                limit: 0,
                ..query.clone()
            };
            let wanted = everything.page(all.iter()).unwrap().records;
            let wanted: Vec<_> = wanted.into_iter().map(|it| it.key).collect();
            let lengths = (prefix.len(), suffix.len());
            assert_eq!(seen, wanted, "{lengths:?} {order:?}");
        }
    }
    // Each is a key of its own to preconditions and deletes as well.
    let long = x(3_000);
    let version = all.iter().find(|it| it.key == long).unwrap().version;
    let other = Commit::new().delete(TABLE, x(2_999), Precondition::Version(Version(version.0)));
    assert!(instance.store.commit(&call(), &other).await.is_err());
    let delete = Commit::new().delete(TABLE, &long, Precondition::Version(version));
    instance.store.commit(&call(), &delete).await.unwrap();
    assert_eq!(instance.value(&long).await.unwrap(), None);
    assert!(instance.value(&format!("{long}a")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_page_holds_no_more_than_a_few_mebibytes() {
    let instance = Instance::open(settings(new_database().await))
        .await
        .unwrap();
    for i in 0..12 {
        let put = Put {
            value: Bytes::from(vec![i; 1 << 20]),
            ..Put::default()
        };
        let commit = Commit::new().put(TABLE, format!("{i:02}"), Precondition::Any, put);
        instance.store.commit(&call(), &commit).await.unwrap();
    }
    let query = ListQuery::default();
    let page = instance.store.list(&call(), TABLE, &query).await.unwrap();
    assert!(
        (1..=6).contains(&page.records.len()),
        "{}",
        page.records.len()
    );
    let all = walk(&instance, &query).await;
    let sizes: Vec<_> = all.iter().map(|it| (it.value[0], it.value.len())).collect();
    assert_eq!(sizes, (0..12).map(|i| (i, 1 << 20)).collect::<Vec<_>>());
}

#[tokio::test]
async fn blobs_have_long_keys_too() {
    let instance = Instance::open(settings(new_database().await))
        .await
        .unwrap();
    let keys: Vec<_> = long_keys()
        .into_iter()
        .filter(|key| !key.is_empty())
        .collect();
    for key in &keys {
        let body = futures::stream::iter([Ok(Bytes::copy_from_slice(key.as_bytes()))]);
        let body = Box::pin(body);
        let place = BlobKey::new("ns", key);
        let (call, meta) = (call(), BlobMeta::default());
        let written = instance.blob.write(&call, place, &meta, body).await;
        assert_eq!(written.unwrap().size, key.len() as u64);
    }
    let query = BlobQuery {
        namespace: "ns",
        ..BlobQuery::default()
    };
    let page = instance.blob.list(&call(), &query).await.unwrap();
    let seen: Vec<_> = page.blobs.into_iter().map(|blob| blob.key).collect();
    assert_eq!(seen, keys);
    let long = "n".repeat(513);
    let too_long = instance
        .blob
        .delete(&call(), BlobKey::new(&long, "k"))
        .await;
    assert!(too_long.unwrap_err().message().contains("namespace"));
}
