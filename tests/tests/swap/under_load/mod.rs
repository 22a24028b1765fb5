//! Real servers under load: modules are swapped a hundred times, no call fails, and nothing that is
//! subscribed to, watched or consumed is lost.

mod driver;
mod listening;
mod manifest;
mod traffic;

use micro_test_backends::{Etcd, Nats, Postgres, unique};

use self::{driver::Driver, manifest::Manifest};

const MEMORY: &str = "plugin = \"memory\"";
const FILE: &str = "plugin = \"file\"";

async fn etcd() -> String {
    format!(
        "plugin = \"etcd\"\nendpoints = [{:?}]\nprefix = {:?}",
        Etcd::shared().await.endpoint(),
        unique("swap")
    )
}

async fn postgres() -> String {
    let postgres = Postgres::shared().await;
    let database = postgres.database("swap").await;
    format!("plugin = \"postgres\"\nurl = {:?}", postgres.url(&database))
}

async fn nats() -> String {
    format!(
        "plugin = \"nats\"\nurl = {:?}\nprefix = {:?}",
        Nats::shared().await.url(),
        unique("swap")
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forty_stores_follow_each_other() {
    let ring = [
        MEMORY.to_owned(),
        etcd().await,
        FILE.to_owned(),
        postgres().await,
    ];
    let mut driver = Driver::start(Manifest::new().with("store", FILE)).await;
    for _ in 0..10 {
        for store in &ring {
            driver.manifest.set("store", store);
            driver.swap(&["store"]).await;
        }
        driver.round().await;
    }
    driver.end(40).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_brokers_follow_each_other() {
    let nats = nats().await;
    let mut driver = Driver::start(Manifest::new().with("broker", MEMORY)).await;
    for _ in 0..10 {
        for broker in [&nats, MEMORY] {
            driver.manifest.set("broker", broker);
            driver.swap(&["broker"]).await;
        }
        driver.round().await;
    }
    driver.end(20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_registries_follow_each_other() {
    let etcd = etcd().await;
    let mut driver = Driver::start(Manifest::new().with("registry", MEMORY)).await;
    for _ in 0..10 {
        for registry in [&etcd, MEMORY] {
            driver.manifest.set("registry", registry);
            driver.swap(&["registry"]).await;
        }
        driver.round().await;
    }
    driver.end(20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_builds_at_the_same_paths_follow_each_other() {
    let nats = nats().await;
    let manifest = Manifest::new()
        .with("store", &etcd().await)
        .with("broker", &nats)
        .with("registry", MEMORY);
    let mut driver = Driver::start(manifest).await;
    for _ in 0..5 {
        for (plugin, modules) in [
            ("memory", &["registry"][..]),
            ("nats", &["broker"]),
            ("file", &["blob", "stream"]),
            ("etcd", &["store"]),
        ] {
            driver.manifest.rebuild(plugin);
            driver.swap(modules).await;
        }
    }
    driver.end(20).await;
}
