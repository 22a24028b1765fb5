//! What a plugin declares decides what it is tested for: the memory modules, as they are and as one
//! instance that everybody has, behind declarations that are true and some that are not.

use micro_memory::{MemoryBlob, MemoryBroker, MemoryRegistry, MemoryStore, MemoryStream, Settings};
use micro_plugin_api::{
    BlobHandle, BrokerHandle, Capabilities, RegistryHandle, StoreHandle, StreamHandle,
};
use micro_plugin_conformance::{Outcome, Report, blob, broker, registry, store, stream};

fn promising(promises: &[&str]) -> Capabilities {
    Capabilities {
        promises: promises.iter().map(|name| (*name).to_owned()).collect(),
        lacks: Vec::new(),
    }
}

/// Every rule beyond the contract of `$module` passes with one instance for all, and fails with a
/// new one each time: that is neither shared nor durable.
macro_rules! holds_and_is_noticed {
    ($module:ident, $handle:ident, $new:expr, $($capability:literal: $rules:literal),+) => {$({
        let suite = || $module::suite().of(&promising(&[$capability])).only($capability);
        let one = $handle::new($new);
        let report: Report = suite().run(async || Ok(one.clone())).await;
        assert_eq!(report.cases.len(), $rules, "{report}");
        report.assert_passed();
        let report = suite().run(async || Ok($handle::new($new))).await;
        assert_eq!(report.failed().count(), $rules, "{report}");
    })+};
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_lasts_or_is_shared_or_the_suite_says_no() {
    holds_and_is_noticed!(store, StoreHandle, MemoryStore::new(), "store.durable": 1, "store.shared": 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blob_store_lasts_or_is_shared_or_the_suite_says_no() {
    holds_and_is_noticed!(blob, BlobHandle, MemoryBlob::new(), "blob.durable": 1, "blob.shared": 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_lasts_or_is_shared_or_the_suite_says_no() {
    let settings = Settings::default();
    holds_and_is_noticed!(stream, StreamHandle, MemoryStream::new(&settings), "stream.durable": 1, "stream.shared": 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_is_shared_or_the_suite_says_no() {
    holds_and_is_noticed!(broker, BrokerHandle, MemoryBroker::new(), "broker.shared": 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_is_shared_or_the_suite_says_no() {
    holds_and_is_noticed!(registry, RegistryHandle, MemoryRegistry::new(), "registry.shared": 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_declared_to_lack_is_skipped_and_never_passed() {
    let open = async || Ok(StoreHandle::new(MemoryStore::new()));
    let mut lacking = Capabilities {
        promises: Vec::new(),
        lacks: vec!["store.watch.order".to_owned()],
    };
    let run = async |capabilities: &Capabilities, prefix: &str| {
        let suite = store::suite().of(capabilities).only(prefix);
        suite.run(open).await
    };
    let report = run(&lacking, "store.watch.order").await;
    let [case] = &report.cases[..] else {
        panic!("{report}");
    };
    assert!(matches!(&case.outcome, Outcome::Skipped(why) if why.contains("store.watch.order")));
    assert_eq!(case.without.as_deref(), Some("store.watch.order"));
    assert!(!report.is_clean(), "a plugin that passes nothing");

    let report = run(&lacking, "store.watch.").await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.skipped().count(), 1, "{report}");

    lacking.lacks.push("store.wacth".to_owned());
    let report = run(&lacking, "store.watch.").await;
    assert_eq!(report.unknown, ["store.wacth"]);
    assert!(!report.is_clean(), "{report}");
    // Another module's names are for its own suite to know.
    lacking.lacks[1] = "blob.list".to_owned();
    assert!(run(&lacking, "store.watch.").await.is_clean());
}
