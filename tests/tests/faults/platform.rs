//! A server on one backend that is to fail.

use std::time::{Duration, Instant};

use micro::Client;
use micro_tests::{Server, ServerBuilder, wait_for};

use crate::{backend::Backend, traffic::Traffic};

/// How long a backend is paused: as long as calls wait at the most.
const PAUSE: Duration = Duration::from_secs(10);

pub(crate) struct Platform {
    pub(crate) server: Server,
    pub(crate) client: Client,
    pub(crate) backend: Backend,
    slots: &'static [&'static str],
}

impl Platform {
    /// A server that is ready, on a backend that is well and fills these slots.
    pub(crate) async fn start(backend: Backend, slots: &'static [&'static str]) -> Self {
        let server = builder(&backend, slots).start().await;
        Self::of(server, backend, slots)
    }

    /// A server that was started while its backend was down, and says so.
    pub(crate) async fn start_without(
        mut backend: Backend,
        slots: &'static [&'static str],
    ) -> Self {
        backend.kill();
        let server = builder(&backend, slots).serve().await;
        let platform = Self::of(server, backend, slots);
        assert_eq!(platform.server.get("/healthz").await.status, 200);
        platform.says_what_is_down().await;
        platform
    }

    fn of(server: Server, backend: Backend, slots: &'static [&'static str]) -> Self {
        let client = Client::builder()
            .address(server.proxy().to_string())
            .account("admin", "micro")
            .retries(0);
        Self {
            client: client.build().expect("a client"),
            server,
            backend,
            slots,
        }
    }

    /// Waits until `/readyz` names each module of the backend, and the plugin.
    pub(crate) async fn says_what_is_down(&self) {
        let plugin = format!("plugin {}: ", self.backend.plugin());
        wait_for(format!("/readyz to name {:?}", self.slots), || async {
            let answer = self.server.get("/readyz").await;
            let report = answer.json().ok()?;
            let unready = report["unready"].as_array()?;
            let is_named = |slot: &&str| {
                unready.iter().any(|part| {
                    part["kind"] == "module"
                        && part["name"] == *slot
                        && part["reason"]
                            .as_str()
                            .is_some_and(|it| it.starts_with(&plugin))
                })
            };
            (answer.status == 503 && self.slots.iter().all(is_named)).then_some(())
        })
        .await;
    }

    /// Waits until everything is well.
    pub(crate) async fn is_ready(&self) {
        wait_for("the server to be ready", || async {
            let answer = self.server.get("/readyz").await;
            (answer.status == 200).then_some(())
        })
        .await;
    }

    /// Pauses the backend for ten seconds, and later kills it and starts it again. Each time
    /// `/readyz` names it, calls fail, and everything is well again by itself.
    pub(crate) async fn goes_through_faults(&mut self, traffic: &Traffic) {
        traffic.succeeds(Instant::now()).await;

        let paused = Instant::now();
        self.backend.pause();
        self.says_what_is_down().await;
        // Not a wait: silence for as long as calls wait is the fault.
        tokio::time::sleep_until((paused + PAUSE).into()).await;
        self.backend.resume();
        self.recovers("a pause", traffic).await;

        let killed = Instant::now();
        self.backend.kill();
        self.says_what_is_down().await;
        traffic.fails(killed).await;
        self.backend.restart().await;
        self.recovers("a crash", traffic).await;
    }

    /// Waits until calls succeed and the server is ready, and prints how long that took.
    async fn recovers(&self, what: &str, traffic: &Traffic) {
        let back = Instant::now();
        traffic.succeeds(back).await;
        let calls = back.elapsed();
        self.is_ready().await;
        eprintln!(
            "{} as {:?}, after {what}: calls after {calls:?}, ready after {:?}",
            self.backend.plugin(),
            self.slots,
            back.elapsed()
        );
    }
}

/// A backend that never comes: the server says so, lives on, and ends when it is told to.
pub(crate) async fn a_server_does_without(backend: Backend, slots: &'static [&'static str]) {
    let mut platform = Platform::start_without(backend, slots).await;
    assert!(platform.server.stop().await.success());
}

fn builder(backend: &Backend, slots: &[&str]) -> ServerBuilder {
    let builder = ServerBuilder::new("");
    let manifest = builder.write("faults.toml", &backend.manifest(slots));
    builder.profile(manifest)
}
