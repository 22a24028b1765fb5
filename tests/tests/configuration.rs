//! The configuration on the real server: over HTTP and gRPC, sealed on disk, and there after a
//! sudden end. Under `local`, whose files are looked through for secrets.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use futures::future::join_all;
use http::Request;
use micro::Client;
use micro_tests::{Answer, Server, ServerBuilder, fetch};

/// POST to the gateway as the account that the command lines are logged in as.
async fn post(server: &Server, path: &str, json: &str) -> Answer {
    let token = server.micro(["user", "token"]).await.success();
    let request = Request::post(format!("http://{}{path}", server.api()))
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {}", token.trim()))
        .body(json.to_owned())
        .expect("a request");
    fetch(request).await.expect("an answer")
}

/// The value under a path, over HTTP.
async fn get(server: &Server, path: &str, secret: bool) -> String {
    let body = format!(r#"{{"path":"{path}","options":{{"secret":{secret}}}}}"#);
    let answer = post(server, "/config/get", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json().expect("JSON");
    let data = answer["value"]["data"].as_str().expect("a value");
    data.to_owned()
}

/// A client over gRPC, on the first account.
fn client(server: &Server) -> Client {
    Client::builder()
        .address(server.proxy().to_string())
        .account("admin", "micro")
        .build()
        .expect("a client")
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else if path.is_file() {
            found.push(path);
        }
    }
}

/// The files below a folder that hold a text.
fn holding(folder: &Path, text: &str) -> Vec<PathBuf> {
    let mut all = Vec::new();
    files(folder, &mut all);
    all.retain(|path| {
        let bytes = fs::read(path).unwrap_or_default();
        bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    });
    all
}

#[tokio::test]
async fn values_and_secrets_over_http_and_grpc_and_after_a_crash() {
    let server = Server::start("local").await;
    server.login().await;
    let secret = "hunter2-and-nobody-else";
    let set = r#"{"path":"app","value":{"data":"{\"open\":\"plainly-readable\",\"n\":1.50}"}}"#;
    assert_eq!(post(&server, "/config/set", set).await.text(), "{}");
    let set = format!(
        r#"{{"path":"app.pw","value":{{"data":"\"{secret}\""}},"options":{{"secret":true}}}}"#
    );
    assert_eq!(post(&server, "/config/set", &set).await.text(), "{}");
    let hidden = r#"{"n":1.5,"open":"plainly-readable","pw":"[secret]"}"#;
    assert_eq!(get(&server, "app", false).await, hidden);

    let config = client(&server).config();
    assert_eq!(config.get("app.pw").await.unwrap().string(""), "[secret]");
    let shown = config.clone().secret().get("app.pw").await.unwrap();
    assert_eq!(shown.string(""), secret);
    let refused = config.set("app.n.deeper", 1).await.unwrap_err();
    assert_eq!(refused.code, 400);
    assert!(refused.detail.contains("app.n is a value"), "{refused}");
    assert!(!config.get("app.nothing").await.unwrap().exists());

    let micro = server.home().join(".micro");
    assert!(!holding(&micro, "plainly-readable").is_empty());
    assert_eq!(holding(&micro, secret), [""; 0].map(PathBuf::from));
    assert!(!server.log().contains(secret));
    let key = micro.join("config_secret_key");
    assert_eq!(
        fs::metadata(key).unwrap().permissions().mode() & 0o777,
        0o600
    );

    // The key and the values outlive the process; under another key the secret is not readable.
    let server = server.crash().start().await;
    server.login().await;
    assert_eq!(get(&server, "app.pw", true).await, format!("\"{secret}\""));
    let other = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let server = server
        .stopped()
        .await
        .env("MICRO_CONFIG_SECRET_KEY", other)
        .start()
        .await;
    server.login().await;
    assert_eq!(get(&server, "app", false).await, hidden);
    let body = r#"{"path":"app.pw","options":{"secret":true}}"#;
    let answer = post(&server, "/config/get", body).await;
    let text = answer.text();
    assert_eq!(answer.status, 500, "{text}");
    assert!(
        text.contains("Can't decode secret") && text.contains("key"),
        "{text}"
    );
    assert!(!text.contains(other), "{text}");
}

#[tokio::test]
async fn a_bad_key_is_an_error_at_the_start_that_does_not_repeat_it() {
    let bad = "bm90IGEga2V5";
    let refused = ServerBuilder::new("test")
        .env("MICRO_CONFIG_SECRET_KEY", bad)
        .fail();
    assert!(!refused.stderr.contains(bad), "{}", refused.stderr);
    for part in [
        "MICRO_CONFIG_SECRET_KEY",
        "base64 of 32 bytes",
        "openssl rand",
    ] {
        assert!(refused.stderr.contains(part), "{}", refused.stderr);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_setters_lose_nothing_by_a_crash() {
    let server = Server::start("local").await;
    let clients: Vec<_> = (0..4).map(|_| client(&server)).collect();
    let setters = (0..64).map(|i| {
        let config = clients[i % clients.len()].config();
        tokio::spawn(async move {
            for round in 0..4 {
                config.set(format!("k{i}.r{round}"), round).await?;
            }
            Ok::<_, micro::Error>(())
        })
    });
    for set in join_all(setters).await {
        set.unwrap().unwrap();
    }
    let server = server.crash().start().await;
    let whole = client(&server).config().get("").await.unwrap();
    for i in 0..64 {
        let wanted = serde_json::json!({"r0": 0, "r1": 1, "r2": 2, "r3": 3});
        assert_eq!(whole.json()[format!("k{i}")], wanted, "k{i}");
    }
}
