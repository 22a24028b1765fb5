//! The conformance suites against the etcd modules, in this program.

use std::time::Duration;

use micro_etcd::{EtcdRegistry, EtcdStore, PLUGIN, Settings};
use micro_plugin_api::{Host, RegistryHandle, StoreHandle};
use micro_plugin_conformance::{registry, store};
use micro_test_backends::{Etcd, unique};

/// How long a case may take: etcd syncs each write to a disk that all tests share.
const DEADLINE: Duration = Duration::from_secs(180);

async fn settings() -> Settings {
    Settings {
        endpoints: vec![Etcd::shared().await.endpoint().to_owned()],
        prefix: unique("conformance"),
        ..Settings::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_passes() {
    let settings = settings().await;
    let host = Host::new("etcd", "state", "logs");
    let open = async || {
        let store = EtcdStore::open(settings.clone(), host.clone()).await?;
        Ok(StoreHandle::new(store))
    };
    let suite = store::suite().of(&PLUGIN.capabilities());
    let suite = suite.with_deadline(DEADLINE);
    suite.run(open).await.assert_passed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registry_passes() {
    let settings = settings().await;
    let host = Host::new("etcd", "state", "logs");
    let open = async || {
        let registry = EtcdRegistry::open(settings.clone(), host.clone()).await?;
        Ok(RegistryHandle::new(registry))
    };
    let suite = registry::suite().of(&PLUGIN.capabilities());
    let suite = suite.with_deadline(DEADLINE);
    suite.run(open).await.assert_passed();
}
