//! A registry while its backend fails: what is running is called on, and what comes later is
//! found.

use micro::{Client, Service};
use micro_tests::{Server, fetch, wait_for};
use tokio::{sync::oneshot, task::JoinHandle};

use crate::{
    backend::Backend,
    platform::Platform,
    traffic::{Traffic, assert_unavailable},
};

/// A service that has nothing but what every service has.
fn run(client: &Client, name: &str) -> (oneshot::Sender<()>, JoinHandle<()>) {
    let service = Service::new(name).client(client.clone());
    let (stop, stopped) = oneshot::channel();
    let running = tokio::spawn(async move {
        let stopped = async {
            let _ = stopped.await;
        };
        service.start_until(stopped).await.expect("a service");
    });
    (stop, running)
}

/// Asks a service how it is, through the gateway.
async fn ask(api: std::net::SocketAddr, name: &str) -> Result<(), micro::Error> {
    let request = http::Request::get(format!("http://{api}/{name}/Debug/Health")).body("");
    let answer = fetch(request.expect("a request")).await;
    let answer =
        answer.map_err(|error| micro::Error::internal_server_error("test", error.to_string()))?;
    if answer.status.is_success() {
        return Ok(());
    }
    Err(micro::Error::parse(&answer.text()))
}

async fn is_callable(server: &Server, name: &str) {
    let api = server.api();
    wait_for(format!("{name} to be callable"), || async move {
        ask(api, name).await.ok()
    })
    .await;
}

pub(crate) async fn what_runs_is_called_on_and_what_comes_later_is_found(backend: Backend) {
    let mut platform = Platform::start(backend, &["registry"]).await;
    let steady = run(&platform.client, "steady");
    is_callable(&platform.server, "steady").await;

    let api = platform.server.api();
    let calls = Traffic::start(move |_| ask(api, "steady"));
    let registry = platform.client.registry();
    let lookups = Traffic::start(move |_| {
        let registry = registry.clone();
        async move { registry.list().await.map(drop) }
    });
    platform.goes_through_faults(&lookups).await;

    // Routing follows the registry again.
    let late = run(&platform.client, "late");
    is_callable(&platform.server, "late").await;
    lookups.end().await;
    calls.end_without_failure().await;
    for (stop, running) in [steady, late] {
        let _ = stop.send(());
        running.await.expect("no panic");
    }
    assert!(platform.server.stop().await.success());
}

pub(crate) async fn a_server_waits_for_it(backend: Backend) {
    let mut platform = Platform::start_without(backend, &["registry"]).await;
    let registry = platform.client.registry();
    let error = registry.list().await.expect_err("nobody is there");
    assert_unavailable(&error);

    platform.backend.restart().await;
    platform.is_ready().await;
    wait_for("the core services to be registered", || async {
        let found = registry.get("store").await.ok()?;
        (!found.is_empty()).then_some(())
    })
    .await;
    assert!(platform.server.stop().await.success());
}
