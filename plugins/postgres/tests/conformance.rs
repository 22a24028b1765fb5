//! The conformance suites against the postgres modules, in this program.

use std::time::Duration;

use micro_plugin_api::{BlobHandle, Host, Result, Secret, StoreHandle};
use micro_plugin_conformance::{blob, store};
use micro_postgres::{PLUGIN, Period, Postgres, Settings};

/// How long a rule may take: each of its many calls goes through two processes, which a busy
/// machine lets wait.
const DEADLINE: Duration = Duration::from_secs(180);

async fn settings() -> Settings {
    let server = micro_test_backends::Postgres::shared().await;
    let database = server.database("conformance").await;
    Settings {
        url: Secret::new(server.url(&database)),
        // A busy machine may need as long.
        connect_timeout: Period::from_secs(30),
        ..Settings::default()
    }
}

async fn open(settings: &Settings) -> Result<Postgres> {
    Postgres::open(settings.clone(), Host::new("postgres", "", "")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_passes() {
    let settings = settings().await;
    let suite = store::suite()
        .of(&PLUGIN.capabilities())
        .with_deadline(DEADLINE);
    let report = suite.run(async || open(&settings).await.map(StoreHandle::new));
    report.await.assert_passed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blob_passes() {
    let settings = settings().await;
    let suite = blob::suite()
        .of(&PLUGIN.capabilities())
        .with_deadline(DEADLINE);
    let report = suite.run(async || open(&settings).await.map(BlobHandle::new));
    report.await.assert_passed();
}
