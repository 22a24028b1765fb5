//! The tour of the reference page, "Run helloworld" and "API", as transcripts of the real binary,
//! under the profile that `MICRO_PROFILE` names.

use anyhow::Result;
use micro_tests::{Running, Server, assert_shows, profile, tour, wait_for};
use nix::sys::signal::Signal;

#[tokio::test]
async fn run_helloworld_and_call_it_four_ways() -> Result<()> {
    tour(Server::start(&profile()).await).await
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
