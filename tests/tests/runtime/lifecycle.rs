//! Services from their upload to their end.

use futures::StreamExt as _;
use micro_proto::runtime::CreateOptions;
use micro_tests::{PATIENCE, wait_for};
use tokio::time::timeout;
use tonic::Code;
use tonic_health::ServingStatus;

use super::bench::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_service_lives_and_is_killed() {
    let bench = Bench::new().await;
    let healthy = health(ServingStatus::Serving).await;
    // A node of somebody else's that was there before says nothing of this one.
    bench.register("hello", "other", &healthy).await;
    bench
        .upload("hello", archive(&[("run", WAITS)]))
        .await
        .unwrap();
    let options = CreateOptions {
        env: vec![
            "GREETING=hi=there".to_owned(),
            "MICRO_PROXY=elsewhere".to_owned(),
        ],
        ..CreateOptions::default()
    };
    bench.create("hello", options).await.unwrap();
    let pid = bench.started("hello").await;
    assert_ne!(bench.read("hello").await.unwrap().status, RUNNING);
    bench.register("hello", "own", &healthy).await;
    let statuses: Vec<_> = bench
        .events("hello", RUNNING)
        .await
        .iter()
        .map(|event| event.status)
        .collect();
    assert!(statuses == [1, 2, 3, 4] || statuses == [4], "{statuses:?}");
    let read = bench.read("hello").await.unwrap();
    assert_eq!((read.status, read.version.as_str()), (RUNNING, "latest"));
    assert_eq!(read.metadata["owner"], "admin");
    assert_eq!(read.metadata["group"], "micro");
    assert!(read.metadata["started"].ends_with('Z'), "{read:?}");

    let env = bench.environment("hello").await;
    for (name, value) in [
        ("MICRO_PROFILE", "service"),
        ("MICRO_SERVICE_NAME", "hello"),
        ("MICRO_SERVICE_VERSION", "latest"),
        ("MICRO_SERVICE_ADDRESS", "127.0.0.1:0"),
        ("MICRO_NAMESPACE", "micro"),
        ("MICRO_PROXY", "elsewhere"),
        ("GREETING", "hi=there"),
    ] {
        assert_eq!(env[name], value);
    }
    assert!(!env.contains_key("HOME"), "{env:?}");
    let login = async || {
        bench
            .core
            .login("micro", &env["MICRO_AUTH_ID"], &env["MICRO_AUTH_SECRET"])
            .await
    };
    login().await.unwrap();

    let (code, detail) = error(bench.create("hello", CreateOptions::default()).await);
    assert_eq!(code, 409);
    assert!(
        detail.starts_with("hello@latest is running already"),
        "{detail}"
    );

    let mut events = bench.watch("hello").await;
    assert_eq!(events.next().await.unwrap().unwrap().status, RUNNING);
    bench.delete("hello").await.unwrap();
    let rest: Vec<_> = events.map(|event| event.unwrap().status).collect().await;
    assert_eq!(rest.last(), Some(&STOPPED), "{rest:?}");
    assert!(bench.read("hello").await.is_none());
    assert!(!std::path::Path::new(&format!("/proc/{pid}/cmdline")).exists());
    assert_eq!(
        (bench.processes().await, bench.nodes("hello").await),
        (0, 1)
    );
    assert!(login().await.is_err());
    assert_eq!(
        error(bench.delete("hello").await),
        (404, "not found".to_owned())
    );
    // What it printed can still be read.
    assert!(!bench.logs("hello", 2).await.unwrap().is_empty());
    assert_eq!(
        bench.logs("nosuch", 2).await.unwrap_err().code(),
        Code::NotFound
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_is_never_called_running() {
    let bench = Bench::new().await;
    bench
        .run(
            "ends",
            &[("ends", "#!/bin/sh\necho one; echo two >&2; exit 3\n")],
        )
        .await;
    let events = bench.events("ends", ERROR).await;
    assert!(
        events.iter().all(|event| event.status != RUNNING),
        "{events:?}"
    );
    let last = events.last().unwrap();
    assert_eq!(last.error, "exit status 3");
    assert!(last.output.starts_with(&["one", "two"].map(str::to_owned)));
    // It is started again and again, ever later, and says so.
    let read = wait_for("a crash loop", async || {
        let read = bench.read("ends").await.unwrap();
        assert_eq!(read.status, ERROR);
        read.metadata["error"]
            .starts_with("crash loop: exit status 3, restarted ")
            .then_some(read)
    })
    .await;
    let error = &read.metadata["error"];
    assert!(error.contains(" times, next in "), "{error}");
    // It may be run again without force, and only its own words are shown.
    bench
        .run("ends", &[("ends", "#!/bin/sh\nkill -9 $$\n")])
        .await;
    let last = bench.ends_with("ends").await;
    assert_eq!(
        (last.error.as_str(), last.output.len()),
        ("killed by signal 9", 0)
    );
    // A kill in the pause is not lost.
    bench.delete("ends").await.unwrap();
    assert!(bench.read("ends").await.is_none());
    assert_eq!(bench.processes().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_takes_the_place_of_what_runs_only_if_it_can_be_built() {
    let bench = Bench::new().await;
    bench.run("new", &[("run", WAITS)]).await;
    let first = bench.started("new").await;
    bench
        .register("new", "a", &health(ServingStatus::Serving).await)
        .await;
    bench.events("new", RUNNING).await;
    // One that cannot be built changes nothing but what is said of it.
    let broken = [("micro.toml", "build = 'echo oops; exit 1'\nrun = 'true'")];
    bench.upload("new", archive(&broken)).await.unwrap();
    bench.update("new").await.unwrap();
    let failed = bench.ends_with("new").await;
    assert_eq!(
        failed.error,
        "the build command of micro.toml failed (exit status 1)"
    );
    let read = bench.read("new").await.unwrap();
    assert_eq!(read.status, RUNNING);
    assert!(
        read.metadata["update"].starts_with("failed: the build command"),
        "{read:?}"
    );
    assert_eq!(
        (bench.started("new").await, bench.nodes("new").await),
        (first, 1)
    );
    // One that can takes its place, with the same environment.
    bench
        .upload(
            "new",
            archive(&[("run", "#!/bin/sh\necho second\nexec sleep 100\n")]),
        )
        .await
        .unwrap();
    bench.update("new").await.unwrap();
    wait_for("another process", async || {
        (bench.started("new").await != first).then_some(())
    })
    .await;
    assert_eq!((bench.processes().await, bench.nodes("new").await), (1, 0));
    bench
        .register("new", "b", &health(ServingStatus::Serving).await)
        .await;
    bench.events("new", RUNNING).await;
    let read = bench.read("new").await.unwrap();
    assert!(!read.metadata.contains_key("update"), "{read:?}");
    assert_eq!(read.metadata["owner"], "admin");
    assert_eq!(bench.logs("new", 1).await.unwrap(), ["second"]);
    assert_eq!(
        error(bench.update("nosuch").await),
        (404, "not found".to_owned())
    );
    bench.delete("new").await.unwrap();
    assert_eq!(bench.processes().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn services_come_back_with_their_server() {
    let bench = Bench::new().await;
    let options = CreateOptions {
        env: vec!["GREETING=hello".to_owned()],
        ..CreateOptions::default()
    };
    let files = [("run", "#!/bin/sh\necho $GREETING again\nexec sleep 100\n")];
    bench.upload("back", archive(&files)).await.unwrap();
    bench.create("back", options).await.unwrap();
    let first = bench.started("back").await;
    bench
        .register("back", "a", &health(ServingStatus::Serving).await)
        .await;
    bench.events("back", RUNNING).await;
    bench
        .run("bad", &[("micro.toml", "build = 'exit 1'\nrun = 'true'")])
        .await;
    bench.ends_with("bad").await;

    bench.core.manager.shutdown().await;
    assert_eq!(bench.processes().await, 0);
    assert_eq!(bench.nodes("back").await, 0);
    assert_eq!(bench.read("back").await.unwrap().status, STOPPED);

    let bench = bench.again().await;
    assert_ne!(bench.started("back").await, first);
    bench
        .register("back", "b", &health(ServingStatus::Serving).await)
        .await;
    bench.events("back", RUNNING).await;
    assert_eq!(
        bench.logs("back", 0).await.unwrap(),
        ["hello again", "hello again"]
    );
    // What could not be built is not tried again by itself.
    assert_eq!(bench.read("bad").await.unwrap().status, ERROR);

    // Also if what was built is gone: it is built from its source.
    bench.core.manager.shutdown().await;
    std::fs::remove_dir_all(bench.core.state().join("services")).unwrap();
    let bench = bench.again().await;
    bench.started("back").await;
    assert_eq!(bench.processes().await, 1);
    bench.delete("back").await.unwrap();
    assert_eq!(bench.processes().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_well_in_time_is_an_error() {
    let bench = Bench::new().await;
    let hurry = || CreateOptions {
        start_timeout: 1500,
        ..CreateOptions::default()
    };
    bench
        .upload("silent", archive(&[("run", WAITS)]))
        .await
        .unwrap();
    bench.create("silent", hurry()).await.unwrap();
    assert_eq!(
        bench.ends_with("silent").await.error,
        "not ready within 1.5 s: it did not register"
    );
    bench
        .upload("ill", archive(&[("run", WAITS)]))
        .await
        .unwrap();
    bench.create("ill", hurry()).await.unwrap();
    bench.started("ill").await;
    let address = health(ServingStatus::NotServing).await;
    bench.register("ill", "ill-1", &address).await;
    assert_eq!(
        bench.ends_with("ill").await.error,
        "not ready within 1.5 s: registered, but it says that it is not serving"
    );
    assert_eq!((bench.processes().await, bench.nodes("ill").await), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_dies_later_is_an_error() {
    let bench = Bench::new().await;
    bench
        .run(
            "dies",
            &[(
                "run",
                "#!/bin/sh\nwhile [ ! -e stop ]; do sleep 0.02; done; echo bye; exit 1\n",
            )],
        )
        .await;
    let pid = bench.started("dies").await;
    bench
        .register("dies", "dies-1", &health(ServingStatus::Serving).await)
        .await;
    bench.events("dies", RUNNING).await;
    std::fs::write(format!("/proc/{pid}/cwd/stop"), "").unwrap();
    let last = bench.ends_with("dies").await;
    assert_eq!(
        (last.error.as_str(), last.output.as_slice()),
        ("exit status 1", ["bye".to_owned()].as_slice())
    );
    assert_eq!(bench.nodes("dies").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_is_told_line_by_line() {
    let bench = Bench::new().await;
    bench
        .run(
            "bad",
            &[(
                "micro.toml",
                "build = 'echo compiling; echo oops >&2; exit 1'",
            )],
        )
        .await;
    let events = bench.events("bad", ERROR).await;
    let lines: Vec<_> = events
        .iter()
        .flat_map(|event| event.build_line.lines())
        .collect();
    assert!(
        lines.contains(&"compiling") && lines.contains(&"oops"),
        "{events:?}"
    );
    assert!(events.iter().any(|event| event.status == BUILDING));
    assert_eq!(
        events.last().unwrap().error,
        "the build command of micro.toml failed (exit status 1)"
    );
    // A health command in place of a call: it is told the address.
    let manifest = "run = './serve'\nhealth = 'test \"$MICRO_SERVICE_ADDRESS\" = 192.0.2.1:99'";
    bench
        .run("own", &[("micro.toml", manifest), ("serve", WAITS)])
        .await;
    bench.started("own").await;
    bench.register("own", "own-1", "192.0.2.1:99").await;
    bench.events("own", RUNNING).await;
    bench.core.manager.shutdown().await;
    assert_eq!(bench.processes().await, 0);
    assert_eq!(bench.read("own").await.unwrap().status, STOPPED);
    assert_eq!(
        bench
            .create("own", CreateOptions::default())
            .await
            .unwrap_err()
            .code(),
        Code::Unavailable
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn force_replaces_and_a_kill_ends_a_build() {
    let bench = Bench::new().await;
    bench.run("twice", &[("run", WAITS)]).await;
    let first = bench.started("twice").await;
    bench
        .register("twice", "a", &health(ServingStatus::Serving).await)
        .await;
    bench.events("twice", RUNNING).await;
    let force = CreateOptions {
        force: true,
        ..CreateOptions::default()
    };
    bench.create("twice", force).await.unwrap();
    wait_for("another process", async || {
        (bench.started("twice").await != first).then_some(())
    })
    .await;
    assert_eq!(
        (bench.processes().await, bench.nodes("twice").await),
        (1, 0)
    );
    bench
        .register("twice", "b", &health(ServingStatus::Serving).await)
        .await;
    bench.events("twice", RUNNING).await;
    bench.delete("twice").await.unwrap();

    bench
        .run(
            "slow",
            &[("micro.toml", "build = 'echo on; sleep 100'\nrun = 'true'")],
        )
        .await;
    let mut events = bench.watch("slow").await;
    while events.next().await.unwrap().unwrap().build_line != "on" {}
    timeout(PATIENCE, bench.delete("slow"))
        .await
        .unwrap()
        .unwrap();
    assert!(bench.read("slow").await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_to_a_service_is_an_event() {
    let bench = Bench::new().await;
    bench.run("told", &[("run", WAITS)]).await;
    bench.update("told").await.unwrap();
    bench.delete("told").await.unwrap();
    // What does not happen is not told.
    bench.delete("told").await.unwrap_err();
    let request = micro_proto::events::ReadRequest {
        topic: "runtime".to_owned(),
        ..Default::default()
    };
    let mut store = micro_proto::events::store_client::StoreClient::new(bench.door.clone());
    let events = store.read(request).await.unwrap().into_inner().events;
    let told: Vec<_> = events
        .iter()
        .map(|event| event.metadata["type"].as_str())
        .collect();
    assert_eq!(
        told,
        ["service.created", "service.updated", "service.deleted"]
    );
    let payload: serde_json::Value = serde_json::from_slice(&events[0].payload).unwrap();
    let wanted = serde_json::json!({
        "Type": "service.created",
        "Service": { "Name": "told", "Version": "latest" },
        "Namespace": "micro",
    });
    assert_eq!(payload, wanted);
}
