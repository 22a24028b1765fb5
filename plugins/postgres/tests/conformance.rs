//! The conformance suites against the postgres modules, in this program.

use micro_plugin_api::{BlobHandle, Host, Secret, StoreHandle};
use micro_plugin_conformance::{blob, store};
use micro_postgres::{Postgres, Settings};

fn settings() -> Settings {
    Settings { url: Secret::new(std::env::var("PGTEST").unwrap()), ..Settings::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_passes() {
    let host = Host::new("postgres", "/tmp", "/tmp");
    let open = async || Postgres::open(settings(), host.clone()).await.map(StoreHandle::new);
    store::suite().run(open).await.assert_passed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blob_passes() {
    let host = Host::new("postgres", "/tmp", "/tmp");
    let open = async || Postgres::open(settings(), host.clone()).await.map(BlobHandle::new);
    blob::suite().run(open).await.assert_passed();
}
