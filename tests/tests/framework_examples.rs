//! The examples that the framework's documentation shows, run against a real server.

use micro_tests::{PATIENCE, Ran, Server, assert_shows, profile, program};

/// Runs an example of the framework to its end, on the first account.
async fn run(server: &Server, name: &str) -> Ran {
    let program = program(&format!("examples/{name}"));
    server.run_program(&program, &[], PATIENCE).await
}

#[tokio::test]
async fn store() {
    let mut server = Server::start(&profile()).await;
    let printed = run(&server, "store").await.success();
    assert_shows(
        &printed,
        r#"{"id":"id1","name":"Jane","class":"firstGrade","avgScore":98}
           {"id":"id2","name":"Alice","class":"secondGrade","avgScore":92}
           {"id":"id3","name":"Joe","class":"secondGrade","avgScore":89}
           usersByAvgScore/098/id1
           usersByAvgScore/094/id4"#,
    );
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn broker() {
    let mut server = Server::start(&profile()).await;
    let printed = run(&server, "broker").await.success();
    assert_shows(
        &printed,
        "Service foo is healthy
         Service bar is not healthy",
    );
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn config() {
    let mut server = Server::start(&profile()).await;
    let printed = run(&server, "config").await.success();
    assert_shows(
        &printed,
        r#"key.subkey: hello
           scanned: Key { subkey: "hello", subkey1: 42 }
           key: {"subkey":"hello","subkey1":42,"timeout":"1m30s"}
           timeout: 90s
           retries: 3
           hidden: [secret]
           shown: hunter2
           changed: world
           exists: false"#,
    );
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn events() {
    let mut server = Server::start(&profile()).await;
    let printed = run(&server, "events").await.success();
    for line in [
        "received from somebody: hello",
        "received from jane: how are you?",
        "not now: hello",
        "dealt with: hello",
        "dealt with: how are you?",
        "history: how are you?",
        "history: one",
        "history: two",
    ] {
        assert!(printed.contains(line), "{printed}");
    }
    assert!(server.stop().await.success());
}
