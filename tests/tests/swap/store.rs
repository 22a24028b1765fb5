//! A store is replaced: by one of the same records, or by one that they are copied into.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::StreamExt as _;
use micro_modules::{Module, Progress};
use micro_plugin_api::{
    Code,
    store::{Commit, Expiry, ListQuery, Precondition, Put, RecordChange},
};
use micro_test_backends::{Etcd, unique};

use crate::followed::{Followed, TABLE, call, put};

const MEMORY: &str = "plugin = \"memory\"";
const FILE: &str = "plugin = \"file\"";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_has_everything_and_nobody_notices() {
    let mut followed = Followed::start(&[("store", MEMORY)]).await;
    let store = followed.modules.store();
    let mut commit = Commit::new();
    for i in 0..64 {
        let put = Put {
            value: format!("value {i}").into(),
            metadata: [("Number".to_owned(), i.to_string())].into(),
            expiry: (i % 2 == 0).then(|| Expiry::after(Duration::from_secs(3600))),
        };
        commit = commit.put(TABLE, format!("k{i:03}"), Precondition::Absent, put);
    }
    let version = store.commit(&call(), &commit).await.unwrap();
    let before = store.read(&call(), TABLE, "k000").await.unwrap().unwrap();
    let query = ListQuery {
        limit: 10,
        ..ListQuery::default()
    };
    let page = store.list(&call(), TABLE, &query).await.unwrap();
    let mut changes = store.watch(&call(), TABLE, "w").await.unwrap();
    store.commit(&call(), &put("w1", "old")).await.unwrap();

    followed.set("store", FILE);
    let (outcome, told) = followed.reload_telling(true).await;
    assert_eq!(outcome.len(), 1);
    assert!(outcome[0].error.is_none(), "{outcome:?}");
    let verified = Progress::Verified {
        module: Module::Store,
        name: "micro".to_owned(),
        items: 65,
        checksum: String::new(),
    };
    let verified_is_told = told.iter().any(|progress| match (progress, &verified) {
        (
            Progress::Verified { name, items, .. },
            Progress::Verified {
                name: of,
                items: many,
                ..
            },
        ) => name == of && items == many,
        _ => false,
    });
    assert!(verified_is_told, "{told:?}");
    assert_eq!(followed.plugin(Module::Store), "file");

    let after = store.read(&call(), TABLE, "k000").await.unwrap().unwrap();
    assert_eq!(after.value, before.value);
    assert_eq!(after.metadata, before.metadata);
    assert_eq!(after.expiry, before.expiry);
    // A walk goes on where it was.
    let mut keys: Vec<_> = page.records.into_iter().map(|record| record.key).collect();
    let mut cursor = page.next;
    while let Some(next) = cursor {
        let query = ListQuery {
            cursor: Some(&next),
            ..query.clone()
        };
        let page = store.list(&call(), TABLE, &query).await.unwrap();
        keys.extend(page.records.into_iter().map(|record| record.key));
        cursor = page.next;
    }
    let mut expected: Vec<_> = (0..64).map(|i| format!("k{i:03}")).collect();
    expected.push("w1".to_owned());
    assert_eq!(keys, expected);
    // A version of the store before is one of no record now.
    let stale = Commit::new().delete(TABLE, "k000", Precondition::Version(version));
    let error = store.commit(&call(), &stale).await.unwrap_err();
    assert_eq!(error.code(), Code::CONFLICT);
    let fresh = Commit::new().delete(TABLE, "k000", Precondition::Version(after.version));
    store.commit(&call(), &fresh).await.unwrap();
    // A watch tells what came before and what came after, each once.
    store.commit(&call(), &put("w2", "new")).await.unwrap();
    for (key, value) in [("w1", "old"), ("w2", "new")] {
        let change = changes.next().await.unwrap().unwrap();
        let RecordChange::Put(record) = change else {
            panic!("{change:?}");
        };
        assert_eq!(
            (record.key.as_str(), &record.value[..]),
            (key, value.as_bytes())
        );
        let read = store.read(&call(), TABLE, key).await.unwrap().unwrap();
        // That of the store before was another one's.
        assert_eq!(read.version == record.version, key == "w2");
    }
    followed.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_during_a_copy_is_in_it() {
    let mut followed = Followed::start(&[("store", MEMORY)]).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (store, stop) = (followed.modules.store(), stop.clone());
            tokio::spawn(async move {
                let mut last = BTreeMap::new();
                for turn in 0_u32.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let key = format!("{writer}/{}", turn % 300);
                    let commit = if turn % 7 == 6 {
                        last.insert(key.clone(), None);
                        Commit::new().delete(TABLE, key, Precondition::Any)
                    } else {
                        let value = turn.to_string();
                        last.insert(key.clone(), Some(value.clone()));
                        put(&key, &value)
                    };
                    store.commit(&call(), &commit).await.unwrap();
                    tokio::task::yield_now().await;
                }
                last
            })
        })
        .collect();
    for plugin in [FILE, MEMORY, FILE, MEMORY] {
        followed.set("store", plugin);
        followed.reload_well(true, &[Module::Store]).await;
    }
    stop.store(true, Ordering::Relaxed);
    let store = followed.modules.store();
    for writer in writers {
        for (key, value) in writer.await.unwrap() {
            let read = store.read(&call(), TABLE, &key).await.unwrap();
            let read = read.map(|record| String::from_utf8(record.value.to_vec()).unwrap());
            assert_eq!(read, value, "{key}");
        }
    }
    followed.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_change_the_settings_of_one_store_at_once() {
    let etcd = Etcd::shared().await;
    let place = format!(
        "plugin = \"etcd\"\nendpoints = [\"{}\"]\nprefix = \"{}\"",
        etcd.endpoint(),
        unique("both")
    );
    let mut one = Followed::start(&[("store", &place)]).await;
    let mut two = Followed::start(&[("store", &place)]).await;
    for round in 0..5 {
        for server in [&mut one, &mut two] {
            server.set("store", &format!("{place}\ntimeout_ms = {}", 9_000 + round));
        }
        tokio::join!(
            one.reload_well(false, &[Module::Store]),
            two.reload_well(false, &[Module::Store]),
        );
    }
    one.end().await;
    two.end().await;
}
