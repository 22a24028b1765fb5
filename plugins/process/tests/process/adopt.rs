//! What a runtime finds of one before it that came to a sudden end.

use micro_test_backends::until;
use std::{fs, path::Path};

use futures::StreamExt;
use micro_plugin_api::{
    Code, Host, RuntimeHandle,
    runtime::{LogOptions, RestartPolicy, RestartWhen, Spec, State},
};
use micro_process::{ProcessRuntime, Settings};
use serde_json::Value;
use tempfile::TempDir;

use super::common::{call, grace, key, runs, written};

struct Ended {
    folder: TempDir,
    pids: Vec<u32>,
}

async fn open(folder: &Path) -> RuntimeHandle {
    let host = Host::new("process", folder.join("state"), folder.join("logs"));
    let settings = Settings {
        shutdown_grace_ms: 2_000,
        log_poll_ms: 10,
        ..Settings::default()
    };
    RuntimeHandle::new(ProcessRuntime::open(settings, host).await.unwrap())
}

fn spec(folder: &Path, name: &str, script: &str) -> Spec {
    Spec {
        key: key(name),
        command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        folder: folder.to_owned(),
        env: [("PATH".to_owned(), std::env::var("PATH").unwrap())].into(),
        run: format!("run of {name}"),
        restart: RestartPolicy {
            when: RestartWhen::Always,
            initial_ms: 20,
            ..RestartPolicy::default()
        },
    }
}

/// A runtime that started these and then was gone, with everything that watched over them.
async fn ended(scripts: &[(&'static str, &'static str)]) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let mut own = tokio::runtime::Builder::new_multi_thread();
    let own = own.worker_threads(1).enable_all().build().unwrap();
    let (path, scripts) = (folder.path().to_owned(), scripts.to_vec());
    let started = own.spawn(async move {
        let runtime = open(&path).await;
        let mut pids = Vec::new();
        for (name, script) in scripts {
            let started = runtime.start(&call(), &spec(&path, name, script)).await;
            pids.push(started.unwrap().pid.unwrap());
        }
        pids
    });
    let pids = started.await.unwrap();
    own.shutdown_background();
    Ended { folder, pids }
}

fn notes(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder.join("state/instances")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Changes the note of the only instance.
fn change_note(folder: &Path, change: impl FnOnce(&mut Value)) {
    let path = &notes(folder)[0];
    let mut note: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut note);
    fs::write(path, note.to_string()).unwrap();
}

#[tokio::test]
async fn what_runs_on_is_watched_over_again() {
    let script = "echo life; while [ ! -e stop ]; do sleep 0.02; done; rm stop; exit 3";
    let Ended { folder, pids } = ended(&[("on", script)]).await;
    let runtime = open(folder.path()).await;
    let all = runtime.list(&call(), None).await.unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!((all[0].key.clone(), all[0].pid), (key("on"), Some(pids[0])));
    assert_eq!(
        (all[0].state.clone(), all[0].run.as_str()),
        (State::Running, "run of on")
    );
    let again = runtime
        .start(&call(), &spec(folder.path(), "on", "true"))
        .await;
    assert_eq!(again.unwrap_err().code(), Code::CONFLICT);
    // Its death is noticed, and followed by another start.
    fs::write(folder.path().join("stop"), "").unwrap();
    let new = until(async || {
        let all = runtime.list(&call(), None).await.unwrap();
        all[0].pid.filter(|pid| *pid != pids[0])
    })
    .await;
    let lines = until(async || {
        let options = LogOptions::default();
        let lines = runtime.logs(&call(), &key("on"), &options).await.unwrap();
        let lines: Vec<_> = lines.map(|line| line.unwrap().text).collect().await;
        (lines.len() == 2).then_some(lines)
    })
    .await;
    assert_eq!(lines, ["life", "life"]);
    runtime
        .stop(&call(), &key("on"), &grace(5_000))
        .await
        .unwrap();
    assert!(!runs(&new.to_string()));
    assert!(notes(folder.path()).is_empty());
}

#[tokio::test]
async fn what_ended_meanwhile_is_told_and_may_be_started_again() {
    let Ended { folder, pids } = ended(&[("off", "sleep 60")]).await;
    let pid = nix::unistd::Pid::from_raw(pids[0] as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    until(async || (!runs(&pids[0].to_string())).then_some(())).await;
    let runtime = open(folder.path()).await;
    let all = runtime.list(&call(), None).await.unwrap();
    let State::Exited(exit) = &all[0].state else {
        panic!("{all:?}");
    };
    assert_eq!(exit.to_string(), "ended while no server watched over it");
    let started = runtime
        .start(&call(), &spec(folder.path(), "off", "sleep 60"))
        .await;
    assert_ne!(started.unwrap().pid, Some(pids[0]));
    assert_eq!(notes(folder.path()).len(), 1);
    runtime.shutdown(&call()).await.unwrap();
}

#[tokio::test]
async fn a_process_that_was_not_noted_in_time_is_known_by_its_mark() {
    let Ended { folder, pids } = ended(&[("early", "sleep 60")]).await;
    change_note(folder.path(), |note| note["leader"] = Value::Null);
    let runtime = open(folder.path()).await;
    let all = runtime.list(&call(), None).await.unwrap();
    assert_eq!(
        (all[0].state.clone(), all[0].pid),
        (State::Running, Some(pids[0]))
    );
    runtime.shutdown(&call()).await.unwrap();
    assert!(!runs(&pids[0].to_string()));
}

#[tokio::test]
async fn what_has_no_note_is_ended_with_all_that_it_started() {
    let script = "(setsid sh -c 'echo $$ > daemon; exec sleep 60' &); exec sleep 60";
    let Ended { folder, pids } = ended(&[("stray", script)]).await;
    let daemon = written(&folder.path().join("daemon")).await;
    fs::remove_file(&notes(folder.path())[0]).unwrap();
    let runtime = open(folder.path()).await;
    assert!(runtime.list(&call(), None).await.unwrap().is_empty());
    assert!(!runs(&pids[0].to_string()) && !runs(&daemon));
}

#[tokio::test]
async fn another_process_of_that_number_is_not_taken_for_it() {
    // One that is none of ours, under the number that the note holds.
    let mut stranger = tokio::process::Command::new("sleep")
        .arg("60")
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let number = stranger.id().unwrap();
    let Ended { folder, pids } = ended(&[("gone", "sleep 60")]).await;
    change_note(folder.path(), |note| {
        note["leader"]["pid"] = number.into();
        note["leader"]["start"] = 1.into();
    });
    let runtime = open(folder.path()).await;
    let all = runtime.list(&call(), None).await.unwrap();
    assert!(matches!(all[0].state, State::Exited(_)), "{all:?}");
    runtime
        .stop(&call(), &key("gone"), &grace(100))
        .await
        .unwrap();
    assert!(runs(&number.to_string()), "the stranger is left alone");
    assert!(!runs(&pids[0].to_string()), "what bears the mark is ended");
    stranger.kill().await.unwrap();
}

#[tokio::test]
async fn notes_of_another_boot_or_damaged_ones_do_no_harm() {
    let Ended { folder, pids } = ended(&[("old", "sleep 60")]).await;
    change_note(folder.path(), |note| note["boot"] = "another".into());
    fs::write(folder.path().join("state/instances/bad.json"), "{\"id\":").unwrap();
    let runtime = open(folder.path()).await;
    let all = runtime.list(&call(), None).await.unwrap();
    assert_eq!(all.len(), 1);
    assert!(matches!(all[0].state, State::Exited(_)), "{all:?}");
    assert!(!runs(&pids[0].to_string()));
    assert_eq!(notes(folder.path()).len(), 1);
}

#[tokio::test]
async fn notes_are_this_users_alone() {
    use std::os::unix::fs::PermissionsExt;
    let Ended { folder, .. } = ended(&[("secret", "sleep 60")]).await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.path().join("state/instances")), 0o700);
    assert_eq!(mode(&notes(folder.path())[0]), 0o600);
    let runtime = open(folder.path()).await;
    runtime.shutdown(&call()).await.unwrap();
}
