//! Plugins as libraries: they pass the conformance suites through the loader, those of the project
//! and one that is written outside of it.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of tests fails as they do, by panicking"
)]

use std::{path::Path, time::Duration};

use micro_loader::{LoadOptions, Loader, OPEN_DEADLINE};
use micro_plugin_api::{Capabilities, Code, Error, Host, Result};
use micro_plugin_conformance::{
    blob, broker, registry,
    runtime::{self, Programs, Subject},
    store, stream,
};
use micro_test_backends::{Etcd, Nats, unique};
use micro_tests::{author_plugin, program};
use tempfile::TempDir;

/// How long a case may take against a real server, which syncs each write to a disk that all tests
/// share.
const REAL: Duration = Duration::from_secs(180);

/// A library that was loaded from a file.
struct Plugin {
    library: micro_loader::Library,
    folder: TempDir,
    settings: String,
}

impl Plugin {
    fn load(path: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let loader = Loader::new(Vec::new(), folder.path().join("cache"));
        let library = loader.load(path, &LoadOptions::default()).unwrap();
        Self {
            library,
            folder,
            settings: "{}".to_owned(),
        }
    }

    /// The same library, whose instances have these settings.
    fn with_settings(self, settings: &serde_json::Value) -> Self {
        let settings = settings.to_string();
        Self { settings, ..self }
    }

    /// A handle of a new instance.
    async fn open<H>(&self, module: impl Fn(&micro_loader::Instance) -> Option<H>) -> Result<H> {
        let state = self.folder.path().join("state");
        let host = Host::new(self.library.name(), &state, &state);
        let instance = self.library.open(&self.settings, host, OPEN_DEADLINE).await;
        let instance =
            instance.map_err(|error| Error::new(Code::UNAVAILABLE, error.to_string()))?;
        module(&instance).ok_or_else(|| Error::unsupported("the plugin lacks this module"))
    }

    fn capabilities(&self) -> &Capabilities {
        &self.library.manifest().capabilities
    }

    async fn passes_store(&self) {
        let open = async || self.open(|it| it.store()).await;
        let suite = store::suite().of(self.capabilities());
        suite.run(open).await.assert_passed();
    }

    async fn passes_blob(&self) {
        let open = async || self.open(|it| it.blob()).await;
        let suite = blob::suite().of(self.capabilities());
        suite.run(open).await.assert_passed();
    }

    async fn passes_stream(&self) {
        let open = async || self.open(|it| it.stream()).await;
        let suite = stream::suite().of(self.capabilities());
        suite.run(open).await.assert_passed();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_memory_plugin_passes_every_suite() {
    let plugin = Plugin::load(&program("libmicro_memory.so"));
    assert_eq!(plugin.library.name(), "memory");
    assert_eq!(
        plugin.library.manifest().modules,
        ["store", "blob", "stream", "broker", "registry"]
    );
    plugin.passes_store().await;
    plugin.passes_blob().await;
    plugin.passes_stream().await;
    let report = broker::suite()
        .run(async || plugin.open(|it| it.broker()).await)
        .await;
    report.assert_passed();
    let report = registry::suite()
        .run(async || plugin.open(|it| it.registry()).await)
        .await;
    report.assert_passed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_plugin_passes_every_suite() {
    let plugin = Plugin::load(&program("libmicro_file.so"));
    assert_eq!(plugin.library.name(), "file");
    assert_eq!(
        plugin.library.manifest().modules,
        ["store", "blob", "stream"]
    );
    plugin.passes_store().await;
    plugin.passes_blob().await;
    plugin.passes_stream().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_etcd_plugin_passes_every_suite() {
    let etcd = Etcd::shared().await;
    let plugin = Plugin::load(&program("libmicro_etcd.so")).with_settings(&serde_json::json!({
        "endpoints": [etcd.endpoint()],
        "prefix": unique("plugins"),
    }));
    assert_eq!(plugin.library.manifest().modules, ["store", "registry"]);
    let open = async || plugin.open(|it| it.store()).await;
    let suite = store::suite().of(plugin.capabilities());
    let suite = suite.with_deadline(REAL);
    suite.run(open).await.assert_passed();
    let open = async || plugin.open(|it| it.registry()).await;
    let suite = registry::suite().of(plugin.capabilities());
    let suite = suite.with_deadline(REAL);
    suite.run(open).await.assert_passed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_nats_plugin_passes_every_suite() {
    let nats = Nats::shared().await;
    let plugin = Plugin::load(&program("libmicro_nats.so")).with_settings(&serde_json::json!({
        "url": nats.url(),
        "prefix": unique("plugins"),
        "max_bytes": 64 << 20,
    }));
    assert_eq!(plugin.library.name(), "nats");
    assert_eq!(plugin.library.manifest().modules, ["broker", "stream"]);
    let suite = broker::suite().of(plugin.capabilities());
    let report = suite
        .with_deadline(REAL)
        .run(async || plugin.open(|it| it.broker()).await)
        .await;
    report.assert_passed();
    let suite = stream::suite().of(plugin.capabilities());
    let report = suite
        .with_deadline(REAL)
        .run(async || plugin.open(|it| it.stream()).await)
        .await;
    report.assert_passed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_postgres_plugin_passes_every_suite() {
    let server = micro_test_backends::Postgres::shared().await;
    let url = server.url(&server.database("plugins").await);
    let settings = serde_json::json!({ "url": url, "connect_timeout": "30s" });
    let plugin = Plugin::load(&program("libmicro_postgres.so")).with_settings(&settings);
    assert_eq!(plugin.library.manifest().modules, ["store", "blob"]);
    let open = async || plugin.open(|it| it.store()).await;
    let suite = store::suite().of(plugin.capabilities());
    let suite = suite.with_deadline(REAL);
    suite.run(open).await.assert_passed();
    let open = async || plugin.open(|it| it.blob()).await;
    let suite = blob::suite().of(plugin.capabilities());
    let suite = suite.with_deadline(REAL);
    suite.run(open).await.assert_passed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_process_plugin_passes_its_suite() {
    let plugin = Plugin::load(&program("libmicro_process.so"));
    assert_eq!(plugin.library.manifest().modules, ["runtime"]);
    let path = std::env::var("PATH").unwrap();
    let programs = Programs::local(plugin.folder.path(), &path);
    let report = runtime::suite()
        .run(async || {
            let handle = plugin.open(|it| it.runtime()).await?;
            Ok(Subject::new(handle, programs.clone()))
        })
        .await;
    report.assert_passed();
}

#[tokio::test]
async fn the_memory_plugin_refuses_settings() {
    let plugin = Plugin::load(&program("libmicro_memory.so"));
    let host = Host::new("memory", plugin.folder.path(), plugin.folder.path());
    let opened = plugin
        .library
        .open(r#"{"path": "x"}"#, host, OPEN_DEADLINE)
        .await;
    let text = opened.unwrap_err().to_string();
    assert!(text.contains("memory") && text.contains("path"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_from_outside_of_the_workspace_passes_the_suite() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = Plugin::load(&author_plugin(folder.path()));
    assert_eq!(plugin.library.name(), "shelf");
    // It is a whole store but for what it declares to lack.
    assert_eq!(plugin.capabilities().lacks, ["store.watch"]);
    plugin.passes_store().await;
}
