//! Starting, watching and ending real processes.

use micro_test_backends::{PATIENCE, until};
use std::fs;

use super::common::{bench, call, grace, key, runs, written};
use futures::StreamExt;
use micro_plugin_api::{
    Code,
    runtime::{InstanceChange, State},
};

#[tokio::test]
async fn gives_only_its_environment_and_no_descriptor_of_the_server() {
    let bench = bench().await;
    // Descriptors that the server holds: a file, and the logs of another service.
    let _held = fs::File::open("/dev/null").unwrap();
    bench.shell("other", "sleep 60").await;
    let mut spec = bench.spec(
        "env",
        &[
            "sh",
            "-c",
            "env; readlink /proc/$$/fd/0; ls -l /proc/$$/fd; pwd",
        ],
    );
    spec.env
        .insert("MICRO_SERVICE_NAME".to_owned(), "env".to_owned());
    bench.runtime.start(&call(), &spec).await.unwrap();
    assert_eq!(bench.exit("env").await, "exit status 0");
    let lines = bench.lines("env", None).await;
    assert!(
        lines.iter().any(|line| line == "MICRO_SERVICE_NAME=env"),
        "{lines:?}"
    );
    assert!(lines.iter().any(|line| line == "/dev/null"), "{lines:?}");
    assert!(
        !lines.iter().any(|line| line.starts_with("HOME=")),
        "{lines:?}"
    );
    assert!(
        !lines.iter().any(|line| line.contains("other/latest.log")),
        "{lines:?}"
    );
    let folder = bench.folder.path().canonicalize().unwrap();
    assert_eq!(lines.last().map(String::as_str), folder.to_str());
    bench
        .runtime
        .stop(&call(), &key("other"), &grace(0))
        .await
        .unwrap();
}

#[tokio::test]
async fn tells_how_a_program_ended() {
    let bench = bench().await;
    let started = bench.shell("code", "exit 3").await;
    assert_eq!(started.state, State::Running);
    assert!(started.pid.is_some() && started.started_at > 0);
    bench.shell("signal", "kill -9 $$").await;
    assert_eq!(bench.exit("code").await, "exit status 3");
    assert_eq!(bench.exit("signal").await, "killed by signal 9");
    // What ended may be started again; what runs may not.
    bench.shell("code", "sleep 60").await;
    let spec = bench.spec("code", &["sh", "-c", "true"]);
    let error = bench.runtime.start(&call(), &spec).await.unwrap_err();
    assert_eq!(error.code(), Code::CONFLICT);
    assert!(
        error
            .message()
            .contains("code@latest in micro runs already"),
        "{error}"
    );
    bench
        .runtime
        .stop(&call(), &key("code"), &grace(0))
        .await
        .unwrap();
    assert!(bench.instance("code").await.is_none());
    let error = bench
        .runtime
        .stop(&call(), &key("code"), &grace(0))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::NOT_FOUND);
}

#[tokio::test]
async fn of_two_starts_at_once_one_wins() {
    let bench = bench().await;
    let spec = bench.spec("one", &["sh", "-c", "sleep 60"]);
    let call = call();
    let starts = (0..8).map(|_| bench.runtime.start(&call, &spec));
    let results = futures::future::join_all(starts).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    bench.runtime.shutdown(&call).await.unwrap();
}

#[tokio::test]
async fn stops_politely_and_lets_children_finish() {
    let bench = bench().await;
    // The leader ends at once upon SIGTERM; its child takes a moment and must be given it.
    let child = "trap 'sleep 0.3; echo done > child; exit' TERM; echo $$ > pid; while :; do sleep 0.05; done";
    bench
        .shell(
            "polite",
            &format!("sh -c \"{child}\" & wait").replace("$$", "\\$\\$"),
        )
        .await;
    let pid = written(&bench.folder.path().join("pid")).await;
    bench
        .runtime
        .stop(&call(), &key("polite"), &grace(10_000))
        .await
        .unwrap();
    assert_eq!(
        fs::read_to_string(bench.folder.path().join("child")).unwrap(),
        "done\n"
    );
    assert!(!runs(&pid));
}

#[tokio::test]
async fn kills_what_does_not_end_with_all_that_it_started() {
    let bench = bench().await;
    let child = "trap '' TERM; echo $$ > pid; while :; do sleep 0.05; done";
    let script = format!(
        "trap '' TERM; sh -c \"{}\" & while :; do sleep 0.05; done",
        child.replace("$$", "\\$\\$")
    );
    let leader = bench
        .shell("stubborn", &script)
        .await
        .pid
        .unwrap()
        .to_string();
    let pid = written(&bench.folder.path().join("pid")).await;
    bench
        .runtime
        .stop(&call(), &key("stubborn"), &grace(200))
        .await
        .unwrap();
    assert!(!runs(&leader));
    until(async || (!runs(&pid)).then_some(())).await;
}

#[tokio::test]
async fn what_a_program_leaves_behind_ends_with_it() {
    let bench = bench().await;
    bench.shell("parent", "sleep 60 & echo $! > pid").await;
    let pid = written(&bench.folder.path().join("pid")).await;
    assert_eq!(bench.exit("parent").await, "exit status 0");
    until(async || (!runs(&pid)).then_some(())).await;
}

#[tokio::test]
async fn a_stop_that_its_caller_gave_up_is_finished() {
    let bench = bench().await;
    let leader = bench
        .shell(
            "slow",
            "trap 'sleep 0.3; exit' TERM; echo up > up; while :; do sleep 0.05; done",
        )
        .await;
    written(&bench.folder.path().join("up")).await;
    let hurry = call().with_timeout(std::time::Duration::from_millis(50));
    let error = bench
        .runtime
        .stop(&hurry, &key("slow"), &grace(10_000))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::DEADLINE);
    // A second call waits for the first one's work.
    bench
        .runtime
        .stop(&call(), &key("slow"), &grace(10_000))
        .await
        .unwrap();
    assert!(bench.instance("slow").await.is_none());
    assert!(!runs(&leader.pid.unwrap().to_string()));
}

#[tokio::test]
async fn shutdown_leaves_nothing_running() {
    let bench = bench().await;
    let first = bench
        .shell("first", "sleep 60")
        .await
        .pid
        .unwrap()
        .to_string();
    let second = bench
        .shell("second", "trap '' TERM; while :; do sleep 0.05; done")
        .await;
    bench.runtime.shutdown(&call()).await.unwrap();
    assert!(!runs(&first) && !runs(&second.pid.unwrap().to_string()));
    assert!(bench.runtime.list(&call(), None).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_watch_begins_with_what_is_there() {
    let bench = bench().await;
    bench.shell("there", "sleep 60").await;
    let mut watch = bench.runtime.watch(&call()).await.unwrap();
    let mut next = async || {
        let change = tokio::time::timeout(PATIENCE, watch.next()).await.unwrap();
        change.unwrap().unwrap()
    };
    assert!(
        matches!(next().await, InstanceChange::Present(instance) if instance.key == key("there"))
    );
    assert_eq!(next().await, InstanceChange::Synced);
    bench.shell("new", "exit 1").await;
    assert!(
        matches!(next().await, InstanceChange::Started(instance) if instance.key == key("new"))
    );
    let InstanceChange::Exited(instance) = next().await else {
        panic!("the exit is told");
    };
    let State::Exited(exit) = instance.state else {
        panic!("its state says how");
    };
    assert_eq!(exit.code, Some(1));
    bench
        .runtime
        .stop(&call(), &key("there"), &grace(5_000))
        .await
        .unwrap();
    assert!(
        matches!(next().await, InstanceChange::Stopped(instance) if instance.key == key("there"))
    );
}

#[tokio::test]
async fn refuses_what_cannot_run_and_says_why() {
    let bench = bench().await;
    bench.file("plain", "#!/bin/sh\n", 0o644);
    bench.file("lost", "#!/no/such/interpreter\n", 0o755);
    bench.file("data", "\x01\x02\x03", 0o755);
    for (command, expected) in [
        (
            &["nosuchprogram"][..],
            "there is no program nosuchprogram in PATH",
        ),
        (&["./nosuch"], "there is no program ./nosuch in the folder"),
        (
            &["./plain"],
            "./plain is not executable; set its mode with chmod +x",
        ),
        (&["./logs/.."], "is a folder"),
        (&["../sh"], "../sh lies outside the folder of the service"),
        (&["a/../../sh"], "lies outside the folder"),
        (
            &["./lost"],
            "the interpreter that its first line names does not exist",
        ),
        (
            &["./data"],
            "neither a program for this machine nor a script",
        ),
        (&[], "there is no command to run bad@latest in micro"),
        (&[""], "the command to run is empty"),
    ] {
        let spec = bench.spec("bad", command);
        let error = bench.runtime.start(&call(), &spec).await.unwrap_err();
        assert_eq!(error.code(), Code::INVALID, "{command:?}: {error}");
        assert!(error.message().contains(expected), "{command:?}: {error}");
        fs::create_dir_all(bench.folder.path().join("logs")).unwrap();
    }
    let mut spec = bench.spec("bad", &["sh"]);
    spec.folder = "/no/such/folder".into();
    let error = bench.runtime.start(&call(), &spec).await.unwrap_err();
    assert!(error.message().contains("/no/such/folder"), "{error}");
    assert!(bench.runtime.list(&call(), None).await.unwrap().is_empty());
}

#[tokio::test]
async fn lists_in_key_order_and_by_namespace() {
    let bench = bench().await;
    for (namespace, name) in [("micro", "b"), ("foo", "a"), ("micro", "a")] {
        let mut spec = bench.spec(name, &["sleep", "60"]);
        spec.key.namespace = namespace.to_owned();
        bench.runtime.start(&call(), &spec).await.unwrap();
    }
    let names = async |namespace| {
        let all = bench.runtime.list(&call(), namespace).await.unwrap();
        let names = all.iter().map(|instance| instance.key.to_string());
        names.collect::<Vec<_>>().join(", ")
    };
    assert_eq!(
        names(None).await,
        "a@latest in foo, a@latest in micro, b@latest in micro"
    );
    assert_eq!(names(Some("foo")).await, "a@latest in foo");
    bench.runtime.shutdown(&call()).await.unwrap();
}
