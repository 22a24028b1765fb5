//! Services over the ends of their processes and of their server: restarted, taken over, brought
//! back, and never two of one.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use micro_tests::{Server, ServerBuilder, program, wait_for};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// A server whose records outlive it.
fn builder() -> ServerBuilder {
    durable(ServerBuilder::new("").env("MICRO_LOG_LEVEL", "info"))
}

fn durable(builder: ServerBuilder) -> ServerBuilder {
    let manifest = "extends = 'test'\n[store]\nplugin = 'file'\n[blob]\nplugin = 'file'\n[server]\nkeys = 'file'\n";
    let path = builder.write("durable.toml", manifest);
    builder.profile(path)
}

/// Writes an executable file of shell: a source that needs no build.
fn script(home: &Path, name: &str, lines: &str) -> String {
    let path = home.join(name);
    fs::write(&path, format!("#!/bin/sh\n{lines}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

/// A script that becomes the service that tests call, once it has done `before`.
fn service(home: &Path, name: &str, before: &str) -> String {
    let service = program("micro-test-service");
    let lines = format!("echo begun\n{before}\nexec {}", service.display());
    script(home, name, &lines)
}

/// The processes of services whose command line holds `what`, of the server over this home folder.
fn processes(home: &Path, what: &str) -> Vec<i32> {
    let id = home.join(".micro/server/plugins/process/runtime-id");
    let mark = format!(
        "MICRO_RUNTIME_INSTANCE={}:",
        fs::read_to_string(id).unwrap_or_default()
    );
    marked(&mark, what)
}

/// The processes with an entry in their environment that begins so.
fn marked(mark: &str, what: &str) -> Vec<i32> {
    let pids = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let environment = fs::read(entry.path().join("environ")).ok()?;
            let is_marked = environment
                .split(|byte| *byte == 0)
                .any(|entry| entry.starts_with(mark.as_bytes()));
            let command = fs::read(entry.path().join("cmdline")).ok()?;
            let command = String::from_utf8_lossy(&command).into_owned();
            (is_marked && command.contains(what)).then_some(pid)
        });
    pids.collect()
}

async fn answers(server: &Server, name: &str) {
    let path = format!("/{name}/kinds/one");
    wait_for(format!("{name} to answer"), || async {
        let answer = server.post(&path, r#"{"text": "hi"}"#).await;
        (answer.status == 200 && answer.json().ok()?["text"] == "hi").then_some(())
    })
    .await;
}

async fn status(server: &Server, wanted: &str) -> String {
    wait_for(format!("{wanted:?} in the status"), || async {
        let shown = server.micro(["status"]).await.success();
        shown.contains(wanted).then_some(shown)
    })
    .await
}

/// The next start on the same home, where its services find it.
fn at_the_same_address(builder: ServerBuilder, server: std::net::SocketAddr) -> ServerBuilder {
    builder.env("MICRO_NETWORK_ADDRESS", server.to_string())
}

#[tokio::test]
async fn a_crash_loop_shows_in_the_status_and_a_kill_ends_it() {
    let server = builder().start().await;
    server.login().await;
    let source = script(server.home(), "dies", "echo dying; exit 3");
    let run = server.run_source([source]).await;
    assert_ne!(run.code, Some(0));
    assert!(run.stderr.contains("exit status 3"), "{run:?}");
    let shown = status(&server, "crash loop: exit status 3, restarted ").await;
    let row = shown.lines().find(|row| row.starts_with("dies")).unwrap();
    assert!(row.contains("error"), "{row}");
    let shown = status(&server, ", next in ").await;
    assert!(shown.contains(" times, next in "), "{shown}");
    let logs = server.micro(["logs", "dies"]).await.success();
    assert!(
        logs.lines().count() >= 5 && logs.contains("dying"),
        "{logs}"
    );
    server.micro(["kill", "dies"]).await.success();
    assert_eq!(server.micro(["status"]).await.success(), "");
    assert!(processes(server.home(), "").is_empty());
}

#[tokio::test]
async fn a_service_outlives_its_server_and_is_taken_over() {
    let server = builder().start().await;
    server.login().await;
    let source = service(server.home(), "hello", "");
    server.run_source([source]).await.success();
    answers(&server, "hello").await;
    let home = server.home().to_owned();
    let [pid] = processes(&home, "micro-test-service")[..] else {
        panic!("one process");
    };
    let address = server.network();
    let next = at_the_same_address(server.crash(), address);
    assert_eq!(processes(&home, "micro-test-service"), [pid], "it runs on");

    let server = next.start().await;
    server.login().await;
    answers(&server, "hello").await;
    let shown = status(&server, "running").await;
    assert!(shown.contains("hello"), "{shown}");
    assert_eq!(processes(&home, "micro-test-service"), [pid]);
    let logs = server.micro(["logs", "hello"]).await.success();
    assert!(logs.contains("begun"), "{logs}");

    // It is watched over as before: it comes back when it dies, and can still log in.
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    let new = wait_for("another process", || async {
        match processes(&home, "micro-test-service")[..] {
            [new] if new != pid => Some(new),
            _ => None,
        }
    })
    .await;
    answers(&server, "hello").await;
    status(&server, "running").await;
    assert_eq!(processes(&home, "micro-test-service"), [new]);
    server.micro(["kill", "hello"]).await.success();
    assert!(processes(&home, "").is_empty());
}

#[tokio::test]
async fn a_service_that_died_with_its_server_is_started_again() {
    let server = builder().start().await;
    server.login().await;
    let source = service(server.home(), "hello", "");
    server.run_source([source]).await.success();
    let home = server.home().to_owned();
    let before = processes(&home, "micro-test-service");
    let address = server.network();
    let next = at_the_same_address(server.crash(), address);
    for pid in &before {
        kill(Pid::from_raw(*pid), Signal::SIGKILL).unwrap();
    }
    let server = next.start().await;
    answers(&server, "hello").await;
    let after = processes(&home, "micro-test-service");
    assert_eq!(after.len(), 1);
    assert_ne!(after, before);
}

#[tokio::test]
async fn a_stopped_server_ends_its_services_and_brings_them_back() {
    let server = builder().start().await;
    server.login().await;
    let source = service(server.home(), "hello", "");
    server
        .run_source([source, "--env_vars=GREETING=hi".to_owned()])
        .await
        .success();
    let home = server.home().to_owned();
    let next = server.stopped().await;
    assert!(processes(&home, "").is_empty(), "it ends with its server");
    // Another address this time: it is told the new one.
    let server = next.start().await;
    server.login().await;
    answers(&server, "hello").await;
    assert_eq!(processes(&home, "micro-test-service").len(), 1);
    let logs = server.micro(["logs", "hello"]).await.success();
    assert_eq!(logs.matches("begun").count(), 2, "the log of both: {logs}");
    // What was killed stays so.
    server.micro(["kill", "hello"]).await.success();
    let server = server.stopped().await.start().await;
    server.login().await;
    assert_eq!(server.micro(["status"]).await.success(), "");
    assert!(processes(&home, "").is_empty());
}

#[tokio::test]
async fn what_a_service_has_left_in_the_background_ends_with_it() {
    let server = builder().start().await;
    server.login().await;
    let daemon = "(setsid sh -c 'while :; do sleep 0.1; done' micro-test-daemon &)";
    let source = service(server.home(), "hello", daemon);
    server.run_source([source]).await.success();
    let home = server.home().to_owned();
    assert_eq!(processes(&home, "micro-test-daemon").len(), 1);
    server.micro(["kill", "hello"]).await.success();
    assert!(processes(&home, "").is_empty());
}

#[tokio::test]
async fn a_service_whose_record_is_gone_is_ended() {
    let forgetful = ServerBuilder::new("test").env("MICRO_LOG_LEVEL", "info");
    let server = forgetful.start().await;
    server.login().await;
    let source = service(server.home(), "hello", "");
    server.run_source([source]).await.success();
    let home = server.home().to_owned();
    let address = server.network();
    let next = at_the_same_address(server.crash(), address);
    assert_eq!(processes(&home, "micro-test-service").len(), 1);
    let _server = next.start().await;
    wait_for("the service to end", || async {
        processes(&home, "").is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_build_does_not_outlive_its_server() {
    let server = builder().start().await;
    server.login().await;
    let home = server.home().to_owned();
    let folder = home.join("slow");
    fs::create_dir(&folder).unwrap();
    script(&folder, "micro-test-build", "while :; do sleep 0.1; done");
    let manifest = "build = './micro-test-build'\nrun = 'true'\n";
    fs::write(folder.join("micro.toml"), manifest).unwrap();
    let mut run = server.command(["run".to_owned(), folder.display().to_string()]);
    let run = micro_tests::Running::spawn(&mut run);
    let id = fs::read_to_string(home.join(".micro/server/id")).unwrap();
    let mark = format!("MICRO_BUILD_OWNER={id}");
    let builds = || marked(&mark, "micro-test-build");
    let build = wait_for("the build", || async {
        let builds = builds();
        (!builds.is_empty()).then_some(builds)
    })
    .await;
    let next = server.crash();
    drop(run);
    let server = next.start().await;
    server.login().await;
    wait_for("another build in its place", || async {
        let builds = builds();
        let is_new = !builds.iter().any(|pid| build.contains(pid));
        (is_new && !builds.is_empty()).then_some(())
    })
    .await;
    server.micro(["kill", "slow"]).await.success();
    assert!(builds().is_empty());
}

#[tokio::test]
async fn twenty_quick_restarts_leave_one_of_each() {
    let mut server = builder().start().await;
    server.login().await;
    let home = server.home().to_owned();
    for name in ["one", "two"] {
        let source = service(&home, name, "");
        server.run_source([source]).await.success();
    }
    let address = server.network();
    for round in 0..20 {
        let next = if round % 3 == 2 {
            server.stopped().await
        } else {
            server.crash()
        };
        server = at_the_same_address(next, address).serve().await;
    }
    for name in ["one", "two"] {
        answers(&server, name).await;
    }
    let running = processes(&home, "micro-test-service");
    assert_eq!(running.len(), 2, "{running:?}");
    let next = server.stopped().await;
    assert!(processes(&home, "").is_empty());
    drop(next);
}
