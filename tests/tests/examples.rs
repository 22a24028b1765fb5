//! The examples, as their READMEs show them.

use anyhow::Result;
use http::{Request, StatusCode};
use micro_tests::{PATIENCE, Running, Server, assert_shows, fetch, profile, wait_for};
use nix::sys::signal::Signal;

#[tokio::test]
async fn users() -> Result<()> {
    let mut server = Server::start(&profile()).await;
    server.login().await;
    server.run_example("users").await.success();
    let create = [
        "users",
        "create",
        "--id=id1",
        "--name=Jane",
        "--email=jane@example.com",
    ];
    assert_shows(&server.micro(create).await.success(), "{}");
    let again = server.micro(create).await;
    assert_ne!(again.code, Some(0));
    assert!(
        again.stderr.contains("There is a user id1 already"),
        "{again:?}"
    );
    assert_shows(
        &server.micro(["users", "read", "--id=id1"]).await.success(),
        r#"{ "user": { "id": "id1", "name": "Jane", "email": "jane@example.com" } }"#,
    );

    let missing = server.get("/users/read").await;
    assert_eq!(missing.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        missing.text(),
        r#"{"Id":"users.Read.MissingID","Code":400,"Detail":"Missing ID","Status":"Bad Request"}"#
    );
    let unknown = server.get("/users/read?id=nobody").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);

    let url = format!("http://{}/users/list", server.api());
    let request = Request::get(&url)
        .header("Foobar", "mycustomval")
        .body("")?;
    let listed: serde_json::Value = serde_json::from_str(&fetch(request).await?.text())?;
    assert_eq!(listed["foobar"], "mycustomval");
    assert_eq!(listed["users"][0]["name"], "Jane");
    let without = server.get("/users/list").await;
    assert_eq!(without.status, StatusCode::BAD_REQUEST);
    assert!(without.text().contains("Missing Foobar header"));

    // The service sets the header itself, for a call of its own.
    let audit: serde_json::Value =
        serde_json::from_str(&server.micro(["users", "audit"]).await.success())?;
    assert_eq!(audit["foobar"], "audit");
    let logged = server.micro(["logs", "users"]).await.success();
    assert!(
        logged.contains("Foobar header was set to: mycustomval"),
        "{logged}"
    );
    assert!(logged.contains("level=info file=src/main.rs:"), "{logged}");

    assert_shows(
        &server
            .micro(["users", "delete", "--id=id1"])
            .await
            .success(),
        "{}",
    );
    assert_eq!(
        server.get("/users/read?id=id1").await.status,
        StatusCode::NOT_FOUND
    );
    assert!(server.stop().await.success());
    Ok(())
}

#[tokio::test]
async fn chat() -> Result<()> {
    let mut server = Server::start(&profile()).await;
    server.login().await;
    server.run_example("chat").await.success();
    let micro = async |args: &[&str]| server.micro(args.iter().copied()).await;
    let created = micro(&["chat", "create", "--user_ids=jane", "--user_ids=joe"]).await;
    let created: serde_json::Value = serde_json::from_str(&created.success())?;
    let chat_id = created["chat_id"].as_str().expect("an id");
    let chat = format!("--chat_id={chat_id}");

    // Joe is there and hears what is said from now on.
    let heard = server.home().join("heard.txt");
    let first = format!(r#"{{"chat_id":"{chat_id}","user_id":"joe","text":"here I am"}}"#);
    let mut connect = server.command(["stream", "chat", "Chat.Connect", &first]);
    let mut joe = Running::spawn(connect.stdout(std::fs::File::create(&heard)?));
    let hears = async |text: &str| {
        wait_for("Joe to hear it", || async {
            let heard = std::fs::read_to_string(&heard).ok()?;
            heard.contains(text).then_some(())
        })
        .await;
    };
    hears("here I am").await;
    micro(&["chat", "send", &chat, "--user_id=jane", "--text=Hello Joe"])
        .await
        .success();
    hears("Hello Joe").await;
    joe.signal(Signal::SIGTERM);
    assert!(joe.wait(PATIENCE).is_some());

    // Jane comes later, and reads it.
    let history = micro(&["chat", "history", &chat]).await.success();
    let history: serde_json::Value = serde_json::from_str(&history)?;
    let texts: Vec<_> = history["messages"]
        .as_array()
        .expect("messages")
        .iter()
        .map(|message| (message["user_id"].as_str(), message["text"].as_str()))
        .collect();
    assert_eq!(
        texts,
        [
            (Some("joe"), Some("here I am")),
            (Some("jane"), Some("Hello Joe"))
        ]
    );

    let unknown = server.get("/chat/history?chat_id=nosuch").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    let silent = micro(&["chat", "send", &chat, "--user_id=jane"]).await;
    assert!(silent.stderr.contains("Missing text"), "{silent:?}");
    assert!(server.stop().await.success());
    Ok(())
}
