//! The tour of the reference page, "Run helloworld" and "API", as transcripts of the real binary.

use crate::{Server, assert_shows, wait_for};
use anyhow::Result;

const SERVICES: &str =
    "api auth broker config events helloworld network proxy registry runtime store";

/// Takes the tour as one who has just started `server`, and stops it at the end.
///
/// # Errors
/// When an answer cannot be read.
///
/// # Panics
/// If the server, the service or the command line says something else than the page shows.
pub async fn tour(mut server: Server) -> Result<()> {
    let micro = async |args: &[&str]| server.micro(args.iter().copied()).await;

    assert_shows(
        &micro(&["env"]).await.success(),
        "* local 127.0.0.1:8081
           dev proxy.m3o.dev
           platform proxy.m3o.com",
    );
    // Not logged in: status is not for everybody, the list of services is.
    let denied = micro(&["status"]).await;
    assert_eq!(denied.code, Some(2));
    assert_shows(
        &denied.stderr,
        "Not authorized to perform this request hint: log in with `micro login`",
    );
    assert_shows(
        &micro(&["services"]).await.success(),
        &SERVICES.replace("helloworld ", ""),
    );

    assert_shows(
        &server
            .micro_reading(["login"], "admin\nmicro\n")
            .await
            .success(),
        "Enter username: Enter password: Successfully logged in.",
    );
    assert_shows(&server.run_example("helloworld").await.success(), "");

    assert_shows(
        &micro(&["status"]).await.success(),
        "NAME VERSION SOURCE STATUS BUILD UPDATED METADATA
         helloworld latest … running n/a … ago owner=admin, group=micro",
    );
    assert_shows(&micro(&["services"]).await.success(), SERVICES);

    assert_shows(
        &micro(&["helloworld", "--name=John"]).await.success(),
        r#"{ "msg": "Hello John" }"#,
    );
    assert_eq!(
        micro(&["helloworld", "--name=John"]).await.stdout,
        "{\n\t\"msg\": \"Hello John\"\n}\n"
    );
    assert_shows(
        &micro(&["call", "helloworld", "Helloworld.Call", r#"{"name":"J"}"#])
            .await
            .success(),
        r#"{ "msg": "Hello J" }"#,
    );
    assert_shows(
        &micro(&["helloworld", "--help"]).await.success(),
        "NAME: micro helloworld VERSION: latest USAGE: micro helloworld [command]
         COMMANDS: call pingPong stream",
    );
    assert_shows(
        &micro(&["helloworld", "call", "--help"]).await.success(),
        "NAME: micro helloworld call USAGE: micro helloworld call [flags] FLAGS: --name string",
    );
    assert_shows(
        &micro(&["helloworld", "stream", "--count=3"])
            .await
            .success(),
        r#"{ "count": "0" } { "count": "1" } { "count": "2" }"#,
    );

    // HTTP: query, JSON body, namespace, token.
    let root = server.get("/").await;
    assert_eq!(root.text(), r#"{"version": "v3.0.0-beta"}"#);
    let joe = server.get("/helloworld/call?name=Joe").await;
    assert_eq!(
        (joe.status.as_u16(), joe.text().as_str()),
        (200, r#"{"msg":"Hello Joe"}"#)
    );
    let posted = server.post("/helloworld/call", r#"{"name":"Joe"}"#).await;
    assert_eq!(posted.text(), r#"{"msg":"Hello Joe"}"#);
    let elsewhere = server
        .get_with(
            "/helloworld/call?name=Joe",
            &[("micro-namespace", "foobar")],
        )
        .await;
    assert_eq!(elsewhere.status, 404);
    assert_eq!(
        elsewhere.json()?["Detail"],
        "service helloworld: route not found"
    );
    let token = micro(&["user", "token"]).await.success();
    let bearer = format!("Bearer {}", token.trim());
    let authorized = server
        .get_with("/helloworld/call?name=Joe", &[("authorization", &bearer)])
        .await;
    assert_eq!(authorized.text(), r#"{"msg":"Hello Joe"}"#);
    let listed = server.get("/registry/listServices").await.json()?;
    let services = listed["services"].as_array().expect("a list of services");
    assert!(
        services.iter().any(|one| one["name"] == "helloworld"),
        "{listed}"
    );
    let denied = server.get("/store/list").await;
    assert_eq!(denied.status, 401);
    assert_eq!(
        denied.text(),
        r#"{"Id":"store.Store.List","Code":401,"Detail":"An account is required","Status":"Unauthorized"}"#
    );

    // What the service printed, and its end.
    assert!(
        micro(&["logs", "helloworld"])
            .await
            .success()
            .contains("helloworld")
    );
    assert_shows(&micro(&["kill", "helloworld"]).await.success(), "");
    assert_shows(&micro(&["status"]).await.success(), "");
    let gone = micro(&["helloworld", "--name=John"]).await;
    assert_eq!(gone.code, Some(1));
    assert_shows(
        &gone.stderr,
        "Unrecognized micro command: helloworld. Please refer to 'micro --help'",
    );
    wait_for("the gateway forgets the service", || async {
        (server.get("/helloworld/call").await.status == 404).then_some(())
    })
    .await;
    assert!(server.stop().await.success());
    Ok(())
}
