//! Servers that share a store, each with processes of its own: who runs a service, what happens to
//! it when that server goes, and what can be asked of it through another one.

use std::{collections::BTreeMap, time::Duration};

use futures::future::join_all;
use micro_proto::{
    auth::{ListAccountsRequest, accounts_client::AccountsClient},
    runtime::CreateOptions,
};
use micro_tests::{Core, wait_for};
use tonic_health::ServingStatus;

use super::bench::*;

/// The lease of a server that is to die: others wait so long.
const SHORT: Duration = Duration::from_secs(2);

/// The lease of a server that is not: nobody may take it for dead because the machine is busy.
const LONG: Duration = Duration::from_secs(600);

/// Notes each of its starts in a file of the test, and waits for its end.
const COUNTED: &str = "#!/bin/sh\necho x >> $STARTS\nenv\nexec sleep 100\n";

/// The platform that the servers of a test share.
struct Shared {
    base: Core,
    folder: tempfile::TempDir,
}

impl Shared {
    async fn new() -> Self {
        Self {
            base: Core::start().await,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    async fn server(&self, lease: Duration) -> Bench {
        Bench::of(self.base.beside(lease).await).await
    }

    fn options(&self) -> CreateOptions {
        let starts = self.folder.path().join("starts");
        CreateOptions {
            env: vec![format!("STARTS={}", starts.display())],
            ..CreateOptions::default()
        }
    }

    /// How often the service was started.
    fn starts(&self) -> usize {
        let starts = std::fs::read_to_string(self.folder.path().join("starts"));
        starts.unwrap_or_default().lines().count()
    }

    /// A service that runs on `server`.
    async fn runs_on(&self, server: &Bench) {
        let files = archive(&[("run", COUNTED)]);
        server.upload("svc", files).await.unwrap();
        server.create("svc", self.options()).await.unwrap();
        server.started("svc").await;
        wait_for("its first start", async || {
            (self.starts() == 1).then_some(())
        })
        .await;
        becomes_ready(server, "first").await;
    }
}

/// Registers a node of the service, upon which it is found to run.
async fn becomes_ready(server: &Bench, node: &str) {
    let healthy = health(ServingStatus::Serving).await;
    server.register("svc", node, &healthy).await;
    server.events("svc", RUNNING).await;
}

/// The one of these servers that has the service's process.
async fn owner<'a>(servers: &[&'a Bench]) -> &'a Bench {
    wait_for("one server to run the service", async || {
        let processes = join_all(servers.iter().map(|server| server.processes())).await;
        let owners: Vec<_> = (0..servers.len()).filter(|n| processes[*n] > 0).collect();
        assert!(owners.len() < 2, "two run it: {processes:?}");
        owners.first().map(|n| servers[*n])
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_services_of_a_dead_server_are_taken_over_once() {
    let shared = Shared::new().await;
    let mut first = shared.server(SHORT).await;
    shared.runs_on(&first).await;
    first.core.die();

    let (one, two) = tokio::join!(shared.server(LONG), shared.server(LONG));
    let owner = owner(&[&one, &two]).await;
    wait_for("its second start", async || {
        (shared.starts() == 2).then_some(())
    })
    .await;
    wait_for("the node of the dead to be gone", async || {
        (owner.nodes("svc").await == 0).then_some(())
    })
    .await;
    becomes_ready(owner, "second").await;
    for server in [&one, &two] {
        assert_eq!(server.read("svc").await.unwrap().status, RUNNING);
    }

    // What ran on the dead server's machine is ended when it comes back: it is another's now.
    assert_eq!(first.processes().await, 1);
    let back = first.again().await;
    assert_eq!(back.processes().await, 0);
    assert_eq!(back.read("svc").await.unwrap().status, RUNNING);
    assert_eq!(back.nodes("svc").await, 1);

    back.delete("svc").await.unwrap();
    assert_eq!(one.processes().await + two.processes().await, 0);
    assert_eq!(shared.starts(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_back_in_time_keeps_its_services() {
    let shared = Shared::new().await;
    let mut first = shared.server(LONG).await;
    shared.runs_on(&first).await;
    let pid = first.started("svc").await;
    first.core.die();
    let second = shared.server(LONG).await;
    let back = first.again().await;
    back.events("svc", RUNNING).await;
    assert_eq!(back.started("svc").await, pid);
    assert_eq!(second.processes().await, 0);
    back.delete("svc").await.unwrap();
    assert_eq!(shared.starts(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graceful_stop_hands_services_on_at_once() {
    let shared = Shared::new().await;
    let (first, second) = tokio::join!(shared.server(LONG), shared.server(LONG));
    shared.runs_on(&first).await;
    first.core.manager.shutdown().await;
    assert_eq!(first.processes().await, 0);
    // Long before the lease would have ended.
    second.started("svc").await;
    becomes_ready(&second, "second").await;
    second.delete("svc").await.unwrap();
    assert_eq!(shared.starts(), 2);
}

/// One that can not reach the store goes on serving: it cannot tell whether others can.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_cut_off_lets_go_of_what_others_took() {
    let shared = Shared::new().await;
    let cut = shared.server(SHORT).await;
    shared.runs_on(&cut).await;
    cut.core.store.fail(true);
    let second = shared.server(LONG).await;
    second.started("svc").await;
    assert_eq!(cut.processes().await, 1);
    becomes_ready(&second, "second").await;
    let env = second.environment("svc").await;

    cut.core.store.fail(false);
    wait_for("the first to let go", async || {
        (cut.processes().await == 0).then_some(())
    })
    .await;
    // It has taken nothing away that is the second's.
    assert_eq!(second.nodes("svc").await, 1);
    let (id, secret) = (&env["MICRO_AUTH_ID"], &env["MICRO_AUTH_SECRET"]);
    second.core.login("micro", id, secret).await.unwrap();
    assert_eq!(second.read("svc").await.unwrap().status, RUNNING);
    second.delete("svc").await.unwrap();
    assert_eq!(shared.starts(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_commanded_through_any_server() {
    let shared = Shared::new().await;
    let (own, other) = tokio::join!(shared.server(LONG), shared.server(LONG));
    shared.runs_on(&own).await;
    let first = own.started("svc").await;
    assert_eq!(other.read("svc").await.unwrap().status, RUNNING);
    let refused = error(other.create("svc", shared.options()).await);
    assert_eq!(refused.0, 409, "{refused:?}");
    // The log is where the process is, and is fetched from there.
    wait_for("the log", async || {
        let lines = other.logs("svc", 0).await.unwrap();
        lines
            .iter()
            .any(|line| line.starts_with("PATH="))
            .then_some(())
    })
    .await;

    // An update is built and swapped in where the service runs, and told of everywhere.
    let told = tokio::spawn({
        let mut events = other.watch("svc").await;
        async move {
            let mut statuses = Vec::new();
            while let Ok(Some(event)) = events.message().await {
                statuses.push(event.status);
            }
            statuses
        }
    });
    other
        .upload("svc", archive(&[("run", COUNTED), ("new", "file")]))
        .await
        .unwrap();
    other.update("svc").await.unwrap();
    wait_for("the update", async || (shared.starts() == 2).then_some(())).await;
    let second = own.started("svc").await;
    assert_ne!(second, first);
    becomes_ready(&own, "second").await;

    // As does another run in its place.
    let force = CreateOptions {
        force: true,
        ..shared.options()
    };
    other.create("svc", force).await.unwrap();
    wait_for("the third start", async || {
        (shared.starts() == 3).then_some(())
    })
    .await;
    wait_for("another process", async || {
        (own.started("svc").await != second).then_some(())
    })
    .await;
    assert_eq!(other.processes().await, 0);

    other.delete("svc").await.unwrap();
    assert_eq!(own.processes().await, 0);
    assert_eq!(own.read("svc").await, None);
    assert_eq!(error(other.delete("svc").await).0, 404);
    let statuses = told.await.unwrap();
    assert!(statuses.contains(&RUNNING), "{statuses:?}");
    assert_eq!(statuses.last(), Some(&STOPPED), "{statuses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_racing_creations_one_succeeds() {
    let shared = Shared::new().await;
    let (one, two) = tokio::join!(shared.server(LONG), shared.server(LONG));
    one.upload("svc", archive(&[("run", COUNTED)]))
        .await
        .unwrap();
    let results = tokio::join!(
        one.create("svc", shared.options()),
        two.create("svc", shared.options())
    );
    let mut codes = BTreeMap::new();
    for result in [results.0, results.1] {
        let code = match result {
            Ok(()) => 0,
            failed => error(failed).0,
        };
        *codes.entry(code).or_insert(0) += 1;
    }
    assert_eq!(codes, BTreeMap::from([(0, 1), (409, 1)]));
    let owner = owner(&[&one, &two]).await;
    becomes_ready(owner, "own").await;
    one.delete("svc").await.unwrap();
    assert_eq!(one.processes().await + two.processes().await, 0);
    assert_eq!(shared.starts(), 1);
}

/// A wish that its server did not live to hear of is heard by the one that takes over.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_outlives_the_server_that_it_was_meant_for() {
    let shared = Shared::new().await;
    let mut first = shared.server(SHORT).await;
    shared.runs_on(&first).await;
    first.core.die();
    let second = shared.server(LONG).await;
    second.delete("svc").await.unwrap();
    assert_eq!(second.read("svc").await, None);
    assert_eq!(second.nodes("svc").await, 0);
    assert_eq!(shared.starts(), 1);
    // Its account went with it.
    let accounts = AccountsClient::new(second.door.clone())
        .list(ListAccountsRequest::default())
        .await
        .unwrap()
        .into_inner()
        .accounts;
    assert!(accounts.iter().all(|account| account.id != "svc-latest"));
    let back = first.again().await;
    assert_eq!(back.processes().await, 0);
}
