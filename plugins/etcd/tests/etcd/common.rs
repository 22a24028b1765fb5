//! What the tests have in common: modules with keys of their own, and etcd as others see it.

use etcd_client::{Client, GetOptions, KeyValue};
use micro_etcd::{EtcdRegistry, EtcdStore, Settings};
use micro_plugin_api::{
    Bytes, Call, Host, RegistryHandle, Result, StoreHandle,
    store::{Commit, Precondition, Put, Table, Version},
};
use micro_test_backends::unique;

pub(crate) const TABLE: Table<'static> = Table::new("database", "table");

/// Settings for this endpoint, with a prefix of their own.
pub(crate) fn settings(endpoint: &str) -> Settings {
    Settings {
        endpoints: vec![endpoint.to_owned()],
        prefix: unique("test"),
        ..Settings::default()
    }
}

pub(crate) fn host() -> Host {
    Host::new("etcd", "state", "logs")
}

pub(crate) async fn open_store(settings: &Settings) -> StoreHandle {
    let store = EtcdStore::open(settings.clone(), host()).await;
    StoreHandle::new(store.expect("a store"))
}

pub(crate) async fn open_registry(settings: &Settings) -> RegistryHandle {
    let registry = EtcdRegistry::open(settings.clone(), host()).await;
    RegistryHandle::new(registry.expect("a registry"))
}

pub(crate) fn text(value: &str) -> Put {
    Put {
        value: Bytes::copy_from_slice(value.as_bytes()),
        ..Put::default()
    }
}

pub(crate) async fn put(store: &StoreHandle, key: &str, put: Put) -> Result<Version> {
    let commit = Commit::new().put(TABLE, key, Precondition::Any, put);
    store.commit(&Call::default(), &commit).await
}

/// The text under a key.
pub(crate) async fn read(store: &StoreHandle, key: &str) -> Result<Option<String>> {
    let record = store.read(&Call::default(), TABLE, key).await?;
    Ok(record.map(|record| String::from_utf8_lossy(&record.value).into_owned()))
}

/// What etcd holds of these settings, as `etcdctl` would show it.
pub(crate) async fn stored(etcd: &mut Client, settings: &Settings) -> Vec<KeyValue> {
    let options = GetOptions::new().with_prefix();
    let prefix = format!("{}/", settings.prefix);
    let answer = etcd.get(prefix, Some(options)).await;
    answer.expect("an answer").take_kvs()
}
