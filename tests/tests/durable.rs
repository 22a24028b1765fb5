//! What the server keeps on disk: records, accounts and uploaded sources outlive the process, the
//! folder has one owner, and damage keeps a server from starting and says where. So it is about `local`.

use std::fs;

use http::Request;
use micro_tests::{Answer, Server, ServerBuilder, fetch};

/// POST to the gateway as the account that the command lines are logged in as.
async fn post(server: &Server, path: &str, json: &str) -> Answer {
    let token = server.micro(["user", "token"]).await.success();
    let request = Request::post(format!("http://{}{path}", server.api()))
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {}", token.trim()))
        .body(json.to_owned())
        .expect("a request");
    let answer = fetch(request).await.expect("an answer");
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer
}

async fn write(server: &Server, key: &str) {
    let record = format!(r#"{{"record":{{"key":"{key}","value":"dmFsdWU="}}}}"#);
    post(server, "/store/write", &record).await;
}

#[tokio::test]
async fn records_and_accounts_outlive_the_process() {
    let server = Server::start("local").await;
    server.login().await;
    let account = r#"{"id":"jane","secret":"doe-doe-doe","type":"user"}"#;
    post(&server, "/auth/generate", account).await;
    write(&server, "before a crash").await;

    // Whoever logged in did so at another address: tokens belong to that.
    let server = server.crash().start().await;
    server.login().await;
    write(&server, "before a stop").await;

    let server = server.stopped().await.start().await;
    server.login().await;
    let read = r#"{"key":"before","options":{"prefix":true}}"#;
    let there = post(&server, "/store/read", read).await.text();
    for key in ["before a crash", "before a stop"] {
        assert!(there.contains(key), "{there}");
    }
    let args = ["login", "--username=jane", "--password=doe-doe-doe"];
    server.micro(args).await.success();
}

#[tokio::test]
async fn a_second_server_is_told_who_owns_the_folder() {
    let builder = ServerBuilder::new("");
    let folder = builder.home().join("kept");
    let manifest = format!(
        "extends = 'local'\n[store]\nplugin = 'file'\ndir = '{0}'\n[blob]\nplugin = 'file'\ndir = '{0}'\n",
        folder.display()
    );
    let profile = builder.write("mine.toml", &manifest);
    let _first = builder.profile(&profile).start().await;

    let refused = ServerBuilder::new("").profile(&profile).fail();
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    let folder = folder.display().to_string();
    for part in [folder.as_str(), "belongs to process ", ", since "] {
        assert!(refused.stderr.contains(part), "{}", refused.stderr);
    }
}

#[tokio::test]
async fn a_folder_of_a_newer_version_is_left_alone() {
    let builder = ServerBuilder::new("local");
    builder.write(".micro/server/plugins/file/FORMAT", r#"{"format":7}"#);
    let refused = builder.fail();
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(refused.stderr.contains("format 7"), "{}", refused.stderr);
    let path = builder.home().join(".micro/server/plugins/file/FORMAT");
    assert_eq!(
        fs::read_to_string(path).ok().as_deref(),
        Some(r#"{"format":7}"#)
    );
}
