//! The conformance suites against the memory modules, in this program.

use micro_memory::{MemoryBlob, MemoryBroker, MemoryRegistry, MemoryStore, MemoryStream, Settings};
use micro_plugin_api::{BlobHandle, BrokerHandle, RegistryHandle, StoreHandle, StreamHandle};
use micro_plugin_conformance::{blob, broker, registry, store, stream};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_passes() {
    let open = async || Ok(StoreHandle::new(MemoryStore::new()));
    store::suite().run(open).await.assert_passed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blob_passes() {
    let open = async || Ok(BlobHandle::new(MemoryBlob::new()));
    blob::suite().run(open).await.assert_passed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registry_passes() {
    let open = async || Ok(RegistryHandle::new(MemoryRegistry::new()));
    registry::suite().run(open).await.assert_passed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stream_passes() {
    let open = async || Ok(StreamHandle::new(MemoryStream::new(&Settings::default())));
    stream::suite().run(open).await.assert_passed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broker_passes() {
    let open = async || Ok(BrokerHandle::new(MemoryBroker::new()));
    broker::suite().run(open).await.assert_passed();
}
