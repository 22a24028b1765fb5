//! The conformance suites against the file modules, in this program.

use micro_file::{FileBlob, FileStore, FileStream, PLUGIN, Settings};
use micro_plugin_api::{BlobHandle, Host, StoreHandle, StreamHandle};
use micro_plugin_conformance::{blob, store, stream};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_passes() {
    let folder = tempfile::tempdir().expect("a folder");
    let host = Host::new("file", folder.path(), folder.path());
    let open = async || FileStore::open(Settings::default(), host.clone()).map(StoreHandle::new);
    let suite = store::suite().of(&PLUGIN.capabilities());
    suite.run(open).await.assert_passed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blob_passes() {
    let folder = tempfile::tempdir().expect("a folder");
    let host = Host::new("file", folder.path(), folder.path());
    let open = async || FileBlob::open(Settings::default(), host.clone()).map(BlobHandle::new);
    let suite = blob::suite().of(&PLUGIN.capabilities());
    suite.run(open).await.assert_passed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stream_passes() {
    let folder = tempfile::tempdir().expect("a folder");
    let host = Host::new("file", folder.path(), folder.path());
    let open = async || FileStream::open(Settings::default(), host.clone()).map(StreamHandle::new);
    let suite = stream::suite().of(&PLUGIN.capabilities());
    suite.run(open).await.assert_passed();
}
