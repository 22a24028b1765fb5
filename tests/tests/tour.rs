//! The tour of the reference page, "Run helloworld" and "API", as transcripts of the real binary,
//! under the profile that `MICRO_PROFILE` names.

use anyhow::Result;
use http::Request;
use micro_tests::{Answer, Running, Server, assert_shows, fetch, profile, wait_for};
use nix::sys::signal::Signal;

const SERVICES: &str = "api auth helloworld network proxy registry runtime store";

#[tokio::test]
async fn run_helloworld_and_call_it_four_ways() -> Result<()> {
    let mut server = Server::start(&profile()).await;
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
    let get = async |path: &str, headers: &[(&str, &str)]| get(&server, path, headers).await;
    let root = server.get("/").await;
    assert_eq!(root.text(), r#"{"version": "v3.0.0-beta"}"#);
    let joe = server.get("/helloworld/call?name=Joe").await;
    assert_eq!(
        (joe.status.as_u16(), joe.text().as_str()),
        (200, r#"{"msg":"Hello Joe"}"#)
    );
    let posted = server.post("/helloworld/call", r#"{"name":"Joe"}"#).await;
    assert_eq!(posted.text(), r#"{"msg":"Hello Joe"}"#);
    let elsewhere = get(
        "/helloworld/call?name=Joe",
        &[("micro-namespace", "foobar")],
    )
    .await?;
    assert_eq!(elsewhere.status, 404);
    assert_eq!(
        elsewhere.json()?["Detail"],
        "service helloworld: route not found"
    );
    let token = micro(&["user", "token"]).await.success();
    let bearer = format!("Bearer {}", token.trim());
    let authorized = get("/helloworld/call?name=Joe", &[("authorization", &bearer)]).await?;
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

#[tokio::test]
async fn core_services_are_commands_too() -> Result<()> {
    let mut server = Server::start(&profile()).await;
    assert_shows(
        &server.micro(["registry", "--help"]).await.success(),
        "NAME: micro registry VERSION: latest USAGE: micro registry [command]
         COMMANDS: deregister getService listServices register watch",
    );
    assert_shows(
        &server
            .micro(["registry", "getService", "--help"])
            .await
            .success(),
        "NAME: micro registry getService USAGE: micro registry getService [flags]
         FLAGS: --service string --options_ttl int64 --options_domain string",
    );
    // Logged out: reading the registry is governed by rules alone.
    let printed = server
        .micro(["registry", "getService", "--service=registry"])
        .await
        .success();
    let record: serde_json::Value = serde_json::from_str(&printed)?;
    let service = &record["services"][0];
    assert_eq!(service["name"], "registry");
    assert_eq!(service["version"], "latest");
    assert_eq!(service["metadata"]["domain"], "micro");
    let watch = service["endpoints"]
        .as_array()
        .and_then(|all| all.iter().find(|one| one["name"] == "Registry.Watch"))
        .expect("the registry registers its Watch");
    assert_eq!(watch["metadata"]["stream"], "true");
    assert_eq!(watch["request"]["type"], "WatchRequest");
    assert_eq!(service["nodes"][0]["address"], server.network().to_string());
    assert!(server.stop().await.success());
    Ok(())
}

#[tokio::test]
async fn get_service_shows_the_schema_of_helloworld() -> Result<()> {
    let mut server = Server::start(&profile()).await;
    server.login().await;
    server.run_example("helloworld").await.success();
    let shown = server
        .micro(["registry", "getService", "--service=helloworld"])
        .await
        .success();
    assert_shows(
        &shown,
        r#"{ "services": [ {
            "name": "helloworld", "version": "latest", "metadata": { "domain": "micro" },
            "endpoints": [
              { "name": "Helloworld.Call",
                "request": { "name": "Request", "type": "Request", "values": [
                  { "name": "name", "type": "string", "values": [] } ] },
                "response": { "name": "Response", "type": "Response", "values": [
                  { "name": "msg", "type": "string", "values": [] } ] },
                "metadata": {} },
              { "name": "Helloworld.Stream",
                "request": { "name": "StreamingRequest", "type": "StreamingRequest", "values": [
                  { "name": "count", "type": "int64", "values": [] } ] },
                "response": { "name": "StreamingResponse", "type": "StreamingResponse", "values": [
                  { "name": "count", "type": "int64", "values": [] } ] },
                "metadata": { "stream": "true" } },
              { "name": "Helloworld.PingPong",
                "request": { "name": "Ping", "type": "Ping", "values": [
                  { "name": "stroke", "type": "int64", "values": [] } ] },
                "response": { "name": "Pong", "type": "Pong", "values": [
                  { "name": "stroke", "type": "int64", "values": [] } ] },
                "metadata": { "stream": "true" } } ],
            "nodes": [ { "id": "helloworld-…", "address": "127.0.0.1:…", "port": "0",
              "metadata": { "broker": "service", "domain": "micro", "protocol": "grpc",
                "registry": "service", "server": "grpc", "transport": "grpc" } } ],
            "options": { "ttl": "0", "domain": "" } } ] }"#,
    );
    assert!(server.stop().await.success());
    Ok(())
}

#[tokio::test]
async fn logs_follow_a_service_while_it_lives() -> Result<()> {
    let mut server = Server::start(&profile()).await;
    server.login().await;
    server.run_example("helloworld").await.success();
    let path = server.home().join("followed.txt");
    let mut command = server.command(["logs", "-f", "helloworld"]);
    let mut follower = Running::spawn(command.stdout(std::fs::File::create(&path)?));
    wait_for("a line of the log", || async {
        let text = std::fs::read_to_string(&path).ok()?;
        text.contains("helloworld").then_some(())
    })
    .await;
    assert_eq!(
        follower.status(),
        None,
        "it follows as long as nobody ends it"
    );
    follower.signal(Signal::SIGINT);
    let ended = follower.wait(micro_tests::PATIENCE);
    assert!(ended.is_some(), "it ends when it is asked to");
    assert!(server.stop().await.success());
    Ok(())
}

#[tokio::test]
async fn a_service_calls_another_by_name() -> Result<()> {
    let mut server = Server::start(&profile()).await;
    server.login().await;
    server.run_example("helloworld").await.success();
    server.run_example("helloworld-client").await.success();
    assert_shows(
        &server
            .micro(["helloworld-client", "--name=Ann"])
            .await
            .success(),
        r#"{ "msg": "Hello Ann" }"#,
    );
    let over_http = server.get("/helloworld-client/call?name=Ann").await;
    assert_eq!(over_http.text(), r#"{"msg":"Hello Ann"}"#);
    assert!(server.stop().await.success());
    Ok(())
}

async fn get(server: &Server, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
    let mut request = Request::get(format!("http://{}{path}", server.api()));
    for (key, value) in headers {
        request = request.header(*key, *value);
    }
    fetch(request.body("")?).await
}
