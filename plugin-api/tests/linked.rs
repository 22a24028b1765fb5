//! A plugin through its whole ABI, linked into the program instead of loaded: what an author
//! writes, and what the host sees of it.
#![allow(clippy::unwrap_used)]

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use micro_plugin_api::{__abi::host::Connection, prelude::*};

/// Settings of the plugin below.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// What every key begins with.
    prefix: String,
}

struct Notes {
    prefix: String,
    records: Mutex<BTreeMap<String, Record>>,
}

impl Notes {
    async fn open(settings: Settings, _host: Host) -> Result<Self> {
        // Not a wait: it opens within a tokio runtime.
        tokio::time::sleep(Duration::from_millis(1)).await;
        Ok(Self {
            prefix: settings.prefix,
            records: Mutex::default(),
        })
    }
}

impl Store for Notes {
    async fn read(&self, _: &Call, _: Table<'_>, key: &str) -> Result<Option<Record>> {
        // Not a wait: both ways of running are within a tokio runtime.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let key = format!("{}{key}", self.prefix);
        Ok(self.records.lock().unwrap().get(&key).cloned())
    }

    async fn list(&self, _: &Call, _: Table<'_>, query: &ListQuery<'_>) -> Result<Page> {
        let records = self.records.lock().unwrap();
        let records = records
            .values()
            .filter(|record| record.key.starts_with(query.prefix))
            .cloned();
        Ok(Page {
            records: records.collect(),
            next: Some(Cursor("next".to_owned())),
        })
    }

    async fn commit(&self, _: &Call, commit: &Commit) -> Result<Version> {
        let mut records = self.records.lock().unwrap();
        for operation in &commit.operations {
            let key = format!("{}{}", self.prefix, operation.key);
            let Some(put) = operation.put.clone() else {
                records.remove(&key);
                continue;
            };
            let record = Record {
                key: operation.key.clone(),
                value: put.value,
                metadata: put.metadata,
                version: Version(7),
                expiry: put.expiry,
            };
            records.insert(key, record);
        }
        Ok(Version(7))
    }

    async fn databases(&self, _: &Call) -> Result<Vec<String>> {
        Ok(vec!["a".to_owned(), "b".to_owned()])
    }

    async fn tables(&self, call: &Call, database: &str) -> Result<Vec<String>> {
        Ok(vec![database.to_owned(), call.namespace().to_owned()])
    }
}

export_plugin! {
    name: "notes",
    store: Notes::open,
    run = inline,
    except = ["store.commit", "store.list"],
}

fn host() -> Host {
    Host::new("notes", "/tmp/notes", "/tmp/notes/logs")
}

fn open(settings: &str) -> Result<StoreHandle> {
    // Opening blocks, and must be possible beside a runtime of the caller's.
    let settings = settings.to_owned();
    std::thread::spawn(move || {
        let opened = Connection::linked(&PLUGIN)
            .unwrap()
            .open(&settings, &host())?;
        Ok(opened.store().unwrap())
    })
    .join()
    .unwrap()
}

#[tokio::test]
async fn a_store_crosses_the_boundary_and_back() {
    let store = open(r#"{"prefix":"p/"}"#).unwrap();
    let call = Call::new("ns").with_timeout(Duration::from_secs(5));
    let table = Table::new("db", "t");
    assert_eq!(store.read(&call, table, "k").await, Ok(None));
    let put = Put {
        value: Bytes::from(vec![1; 2000]),
        metadata: [("a".to_owned(), "1".to_owned())].into(),
        expiry: Some(Expiry(99)),
    };
    let commit = Commit::new().put(table, "k", Precondition::Any, put.clone());
    assert_eq!(store.commit(&call, &commit).await, Ok(Version(7)));
    let record = store.read(&call, table, "k").await.unwrap().unwrap();
    assert_eq!(record.key, "k");
    assert_eq!(record.value, put.value);
    // By reference count: the bytes are the very ones that went in.
    assert_eq!(record.value.as_ptr(), put.value.as_ptr());
    assert_eq!(record.metadata, put.metadata);
    assert_eq!(record.expiry, put.expiry);
    let page = store
        .list(&call, table, &ListQuery::default())
        .await
        .unwrap();
    assert_eq!(page.records, [record]);
    assert_eq!(page.next, Some(Cursor("next".to_owned())));
    assert_eq!(store.databases(&call).await.unwrap(), ["a", "b"]);
    assert_eq!(store.tables(&call, "db").await.unwrap(), ["db", "ns"]);
    store.health(&call).await.unwrap();
    store.shutdown(&call).await.unwrap();
}

#[test]
fn settings_are_checked_and_described() {
    let error = open(r#"{"prefix":"","colour":1}"#).err().unwrap();
    assert_eq!(error.code(), Code::INVALID);
    assert_eq!(
        error.message(),
        "unknown setting `colour`, expected `prefix`"
    );
    let metadata = Connection::linked(&PLUGIN).unwrap().metadata();
    let metadata: serde_json::Value = serde_json::from_str(&metadata).unwrap();
    assert_eq!(metadata["name"], "notes");
    assert_eq!(metadata["run"], "inline");
    assert_eq!(
        metadata["settings"]["properties"]["prefix"]["description"],
        "What every key begins with."
    );
}
