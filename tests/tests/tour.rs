//! The tour of the reference page, "Run helloworld" and "API", as transcripts of the real binary,
//! under the profile that `MICRO_PROFILE` names.

use anyhow::Result;
use micro_tests::{Server, example, http_get, transcript::assert_shows, wait};

const SERVICES: &str = "api auth helloworld proxy registry runtime store";

#[tokio::test]
async fn run_helloworld_and_call_it_four_ways() -> Result<()> {
    let server = Server::start().await?;
    let micro = |args: &[&str]| server.micro(args);

    assert_shows(
        &micro(&["env"])?.succeeded(),
        "* local … Local running Micro Server
           dev proxy.m3o.dev Cloud hosted Micro Platform (development)
           platform proxy.m3o.com Cloud hosted Micro Platform",
    );
    // Not logged in: status is not for everybody, the list of services is.
    let denied = micro(&["status"])?;
    assert_eq!(denied.code, 2);
    assert_shows(&denied.stderr, "Not authorized to perform this request");
    assert_shows(&micro(&["services"])?.succeeded(), &SERVICES.replace("helloworld ", ""));

    assert_shows(
        &server.micro_with_input(&["login"], "admin\nmicro\n")?.succeeded(),
        "Enter username: Enter password: Successfully logged in.",
    );
    let source = example("helloworld");
    let run = micro(&["run", &source])?;
    assert_shows(&run.succeeded(), "");

    assert_shows(
        &micro(&["status"])?.succeeded(),
        "NAME VERSION SOURCE STATUS BUILD UPDATED METADATA
         helloworld latest … running n/a … ago owner=admin, group=micro",
    );
    assert_shows(&micro(&["services"])?.succeeded(), SERVICES);

    assert_shows(
        &micro(&["helloworld", "--name=John"])?.succeeded(),
        r#"{ "msg": "Hello John" }"#,
    );
    assert_eq!(
        micro(&["helloworld", "--name=John"])?.stdout,
        "{\n\t\"msg\": \"Hello John\"\n}\n"
    );
    assert_shows(
        &micro(&["call", "helloworld", "Helloworld.Call", r#"{"name":"J"}"#])?.succeeded(),
        r#"{ "msg": "Hello J" }"#,
    );
    assert_shows(
        &micro(&["helloworld", "--help"])?.succeeded(),
        "NAME: micro helloworld VERSION: latest USAGE: micro helloworld [command]
         COMMANDS: call pingPong stream",
    );
    assert_shows(
        &micro(&["helloworld", "call", "--help"])?.succeeded(),
        "NAME: micro helloworld call USAGE: micro helloworld call [flags] FLAGS: --name string",
    );
    assert_shows(
        &micro(&["helloworld", "stream", "--count=3"])?.succeeded(),
        r#"{ "count": "0" } { "count": "1" } { "count": "2" }"#,
    );

    // HTTP: query, JSON body, namespace, token.
    let url = |path: &str| format!("http://{}{path}", server.api());
    let get = |path: &str, headers: &[(&str, &str)]| http_get(&url(path), headers);
    let root = get("/", &[]).await?;
    assert_eq!((root.status, root.body.as_str()), (200, r#"{"version": "v3.0.0-beta"}"#));
    let joe = get("/helloworld/call?name=Joe", &[]).await?;
    assert_eq!((joe.status, joe.body.as_str()), (200, r#"{"msg":"Hello Joe"}"#));
    let posted = micro_tests::http_post(
        &url("/helloworld/call"),
        &[("content-type", "application/json")],
        r#"{"name":"Joe"}"#,
    )
    .await?;
    assert_eq!(posted.body, r#"{"msg":"Hello Joe"}"#);
    let elsewhere = get("/helloworld/call?name=Joe", &[("micro-namespace", "foobar")]).await?;
    assert_eq!(elsewhere.status, 404);
    assert_eq!(elsewhere.json()?["Detail"], "service helloworld: route not found");
    let token = micro(&["user", "token"])?.succeeded();
    let bearer = format!("Bearer {}", token.trim());
    let authorized = get("/helloworld/call?name=Joe", &[("authorization", &bearer)]).await?;
    assert_eq!(authorized.body, r#"{"msg":"Hello Joe"}"#);
    let listed = get("/registry/listServices", &[]).await?;
    let names: Vec<_> = listed.json()?["services"]
        .as_array()
        .expect("a list of services")
        .iter()
        .map(|service| service["name"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert!(names.iter().any(|name| name == "helloworld"), "{names:?}");
    let denied = get("/store/list", &[]).await?;
    assert_eq!(denied.status, 401);
    assert_eq!(
        denied.body,
        r#"{"Id":"store.Store.List","Code":401,"Detail":"An account is required","Status":"Unauthorized"}"#
    );

    // What the service printed, and its end.
    assert!(micro(&["logs", "helloworld"])?.succeeded().contains("helloworld"));
    assert_shows(&micro(&["kill", "helloworld"])?.succeeded(), "");
    assert_shows(&micro(&["status"])?.succeeded(), "");
    let gone = micro(&["helloworld", "--name=John"])?;
    assert_eq!(gone.code, 1);
    assert_shows(
        &gone.stderr,
        "Unrecognized micro command: helloworld. Please refer to 'micro --help'",
    );
    wait::until("the gateway forgets the service", async || {
        Ok(get("/helloworld/call", &[]).await?.status == 404)
    })
    .await?;
    server.stop().await
}

#[tokio::test]
async fn core_services_are_commands_too() -> Result<()> {
    let server = Server::start().await?;
    assert_shows(
        &server.micro(&["registry", "--help"])?.succeeded(),
        "NAME: micro registry VERSION: latest USAGE: micro registry [command]
         COMMANDS: deregister getService listServices register watch",
    );
    assert_shows(
        &server.micro(&["registry", "getService", "--help"])?.succeeded(),
        "NAME: micro registry getService USAGE: micro registry getService [flags]
         FLAGS: --service string --options_ttl int64 --options_domain string",
    );
    // Logged out: reading the registry is governed by rules alone.
    let printed = server
        .micro(&["registry", "getService", "--service=registry"])?
        .succeeded();
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
    assert_eq!(service["nodes"][0]["address"], server.network());
    server.stop().await
}

#[tokio::test]
async fn get_service_shows_the_schema_of_helloworld() -> Result<()> {
    let server = Server::start().await?;
    server.login()?;
    server.micro(&["run", &example("helloworld")])?.succeeded();
    let shown = server
        .micro(&["registry", "getService", "--service=helloworld"])?
        .succeeded();
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
              { "name": "Helloworld.PingPong",
                "request": { "name": "Ping", "type": "Ping", "values": [
                  { "name": "stroke", "type": "int64", "values": [] } ] },
                "response": { "name": "Pong", "type": "Pong", "values": [
                  { "name": "stroke", "type": "int64", "values": [] } ] },
                "metadata": { "stream": "true" } },
              { "name": "Helloworld.Stream",
                "request": { "name": "StreamingRequest", "type": "StreamingRequest", "values": [
                  { "name": "count", "type": "int64", "values": [] } ] },
                "response": { "name": "StreamingResponse", "type": "StreamingResponse", "values": [
                  { "name": "count", "type": "int64", "values": [] } ] },
                "metadata": { "stream": "true" } } ],
            "nodes": [ { "id": "helloworld-…", "address": "127.0.0.1:…", "port": "0",
              "metadata": { "broker": "service", "domain": "micro", "protocol": "grpc",
                "registry": "service", "server": "grpc", "transport": "grpc" } } ],
            "options": { "ttl": "0", "domain": "" } } ] }"#,
    );
    server.stop().await
}

#[tokio::test]
async fn logs_follow_a_service_while_it_lives() -> Result<()> {
    let server = Server::start().await?;
    server.login()?;
    server.micro(&["run", &example("helloworld")])?.succeeded();
    let mut follower = server.spawn(&["logs", "-f", "helloworld"])?;
    wait::until("a line of the log", async || {
        Ok(follower.stdout().contains("helloworld"))
    })
    .await?;
    follower.kill()?;
    server.stop().await
}

#[tokio::test]
async fn a_service_calls_another_by_name() -> Result<()> {
    let server = Server::start().await?;
    server.login()?;
    server.micro(&["run", &example("helloworld")])?.succeeded();
    server
        .micro(&["run", &example("helloworld-client")])?
        .succeeded();
    assert_shows(
        &server
            .micro(&["helloworld-client", "--name=Ann"])?
            .succeeded(),
        r#"{ "msg": "Hello Ann" }"#,
    );
    let over_http = http_get(
        &format!("http://{}/helloworld-client/call?name=Ann", server.api()),
        &[],
    )
    .await?;
    assert_eq!(over_http.body, r#"{"msg":"Hello Ann"}"#);
    server.stop().await
}
