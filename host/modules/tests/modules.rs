//! Health and shutdown of modules that behave well and badly.

mod fake;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use fake::{Behaviour, Fake};
use micro_modules::{ModuleHealth, Modules};
use micro_plugin_api::{
    BlobHandle, BrokerHandle, RegistryHandle, RuntimeHandle, StoreHandle, StreamHandle,
};

/// Modules whose registry behaves like that, and what they note when they are closed.
fn modules(registry: Behaviour) -> (Arc<Modules>, Arc<Mutex<Vec<&'static str>>>) {
    let closed = Arc::new(Mutex::new(Vec::new()));
    let fake = |name, behaviour| Fake {
        name,
        behaviour,
        closed: closed.clone(),
    };
    let modules = Modules::from_handles(
        StoreHandle::new(fake("store", Behaviour::Good)),
        BlobHandle::new(fake("blob", Behaviour::Good)),
        StreamHandle::new(fake("stream", Behaviour::Good)),
        BrokerHandle::new(fake("broker", Behaviour::Good)),
        RegistryHandle::new(fake("registry", registry)),
        RuntimeHandle::new(fake("runtime", Behaviour::Good)),
    );
    (modules, closed)
}

/// Asks modules whose registry behaves like that; the others must be well.
async fn registry_error(modules: &Modules) -> Option<String> {
    let health = modules.health().await;
    assert_eq!(modules.last_health().as_deref(), Some(&health));
    let named: Vec<_> = health.iter().map(|health| health.module).collect();
    assert_eq!(
        named,
        ["store", "blob", "stream", "broker", "registry", "runtime"]
    );
    let mut error = None;
    for ModuleHealth {
        module,
        plugin,
        error: own,
    } in health
    {
        assert_eq!(plugin, "built-in");
        if module == "registry" {
            error = own;
        } else {
            assert_eq!(own, None, "{module}");
        }
    }
    error
}

#[tokio::test]
async fn nothing_is_known_before_modules_have_been_asked() {
    let (modules, _) = modules(Behaviour::Good);
    assert!(modules.last_health().is_none());
    assert_eq!(registry_error(&modules).await, None);
}

#[tokio::test]
async fn a_module_says_why_it_is_not_well() {
    let (modules, _) = modules(Behaviour::Fails);
    let error = registry_error(&modules).await;
    assert_eq!(error.as_deref(), Some("the backend is gone"));
}

#[tokio::test]
async fn a_panic_is_an_answer() {
    let (modules, _) = modules(Behaviour::Panics);
    let error = registry_error(&modules).await;
    assert_eq!(error.as_deref(), Some("its health check panicked"));
    // And one that can be asked for again.
    assert_eq!(registry_error(&modules).await, error);
}

#[tokio::test]
async fn a_module_that_hangs_is_not_well() {
    let (modules, _) = modules(Behaviour::Hangs);
    let start = Instant::now();
    let error = registry_error(&modules).await;
    assert_eq!(
        error.as_deref(),
        Some("its health check did not answer within 3 s")
    );
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn those_who_ask_at_the_same_time_share_the_answer() {
    let (modules, _) = modules(Behaviour::Hangs);
    let start = Instant::now();
    let (one, two) = tokio::join!(registry_error(&modules), registry_error(&modules));
    assert_eq!(one, two);
    assert!(start.elapsed() < Duration::from_secs(5), "asked only once");
}

#[tokio::test]
async fn a_module_that_blocks_its_thread_holds_up_nobody() {
    let (blocker, release) = std::sync::mpsc::channel();
    let (modules, _) = modules(Behaviour::Blocks(Arc::new(Mutex::new(release))));
    let error = registry_error(&modules).await;
    assert_eq!(
        error.as_deref(),
        Some("its health check did not answer within 3 s")
    );
    let start = Instant::now();
    let error = registry_error(&modules).await;
    assert_eq!(
        error.as_deref(),
        Some("an earlier health check has not come back yet")
    );
    assert!(
        start.elapsed() < Duration::from_millis(2500),
        "asked only once"
    );
    drop(blocker);
}

#[tokio::test]
async fn health_is_watched_in_the_background() {
    let (modules, _) = modules(Behaviour::Fails);
    let task = modules.watch_health();
    let deadline = Instant::now() + Duration::from_secs(10);
    while modules.last_health().is_none() {
        assert!(Instant::now() < deadline, "never asked");
        tokio::task::yield_now().await;
    }
    task.abort();
}

#[tokio::test]
async fn modules_close_in_reverse_order_and_once() {
    let (modules, closed) = modules(Behaviour::Good);
    modules.shutdown().await;
    let order = ["runtime", "registry", "broker", "stream", "blob", "store"];
    assert_eq!(*closed.lock().unwrap(), order);
    modules.shutdown().await;
    assert_eq!(closed.lock().unwrap().len(), 6);
}

#[tokio::test]
async fn one_that_does_not_close_does_not_keep_the_others_open() {
    for behaviour in [Behaviour::Fails, Behaviour::Panics, Behaviour::Hangs] {
        let (modules, closed) = modules(behaviour);
        modules.shutdown().await;
        assert_eq!(
            *closed.lock().unwrap(),
            ["runtime", "broker", "stream", "blob", "store"]
        );
    }
}
