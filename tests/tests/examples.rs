//! The examples, as their READMEs show them.

use anyhow::Result;
use http::{Request, StatusCode};
use micro_tests::{Server, assert_shows, fetch, profile};

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
