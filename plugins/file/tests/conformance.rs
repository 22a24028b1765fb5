//! The conformance suites against the file modules, in this program.

use micro_file::{FileBlob, FileStore, Settings};
use micro_plugin_api::{BlobHandle, Host, StoreHandle};
use micro_plugin_conformance::{blob, store};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_passes() {
    let folder = tempfile::tempdir().expect("a folder");
    let host = Host::new("file", folder.path(), folder.path());
    let open = async || FileStore::open(Settings::default(), host.clone()).map(StoreHandle::new);
    store::suite().run(open).await.assert_passed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blob_passes() {
    let folder = tempfile::tempdir().expect("a folder");
    let host = Host::new("file", folder.path(), folder.path());
    let open = async || FileBlob::open(Settings::default(), host.clone()).map(BlobHandle::new);
    blob::suite().run(open).await.assert_passed();
}
