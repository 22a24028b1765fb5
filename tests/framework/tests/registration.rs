//! A service and its platform: login, registration, renewal, restart, farewell.

use std::{future::Future, time::Duration};

use micro::{Error, Service, ServiceError, env::Environment};
use micro_framework_tests::{
    Handler,
    platform::Platform,
    proto::{self, kinds_server::KindsServer},
    wait::{until, until_async},
};
use tokio::{sync::oneshot, task::JoinHandle};

fn service(environment: Environment) -> Service {
    Service::new("by-code")
        .metadata("owner", "tests")
        .environment(environment)
        .handler(KindsServer::new(Handler::default()), proto::DESCRIPTORS)
}

type Running = JoinHandle<Result<(), ServiceError>>;

fn start(environment: Environment) -> (oneshot::Sender<()>, Running) {
    let (stop, stopped) = oneshot::channel();
    let stopped = async {
        let _ = stopped.await;
    };
    (
        stop,
        tokio::spawn(service(environment).start_until(stopped)),
    )
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future)
        .await
        .expect("within ten seconds")
}

#[tokio::test]
async fn registers_with_its_schema_and_takes_it_back() {
    let platform = Platform::default();
    let (address, _server) = platform.listen("127.0.0.1:0").await;
    let (stop, running) = start(platform.environment(address));
    until("registered", || !platform.state().records.is_empty()).await;

    let record = platform.state().records[0].clone();
    assert_eq!(
        (record.name.as_str(), record.version.as_str()),
        ("kinds", "latest")
    );
    assert_eq!(record.metadata["owner"], "tests");
    let options = record.options.unwrap();
    assert_eq!((options.ttl, options.domain.as_str()), (90, "micro"));
    let [node] = &record.nodes[..] else {
        panic!("{:?}", record.nodes)
    };
    assert!(node.id.starts_with("kinds-"), "{}", node.id);
    assert_eq!(node.port, 0);
    for (key, value) in [
        ("broker", "service"),
        ("registry", "service"),
        ("server", "grpc"),
    ] {
        assert_eq!(node.metadata[key], value);
    }
    let names: Vec<_> = record.endpoints.iter().map(|e| e.name.as_str()).collect();
    assert_eq!(names, ["Kinds.One", "Kinds.Down", "Kinds.Up", "Kinds.Both"]);
    for endpoint in &record.endpoints {
        let streams = endpoint.metadata.get("stream").map(String::as_str);
        assert_eq!(
            streams,
            (endpoint.name != "Kinds.One").then_some("true"),
            "{}",
            endpoint.name
        );
        let fields = &endpoint.request.as_ref().unwrap().values;
        let fields: Vec<_> = fields.iter().map(|f| (&*f.name, &*f.r#type)).collect();
        assert_eq!(fields, [("text", "string"), ("number", "int64")]);
    }

    // It answers where it says.
    let client = micro::Client::builder()
        .address(&node.address)
        .build()
        .unwrap();
    assert!(
        client
            .call_json("kinds", "Debug.Health", &serde_json::json!({}))
            .await
            .is_ok()
    );
    assert_eq!(platform.state().log, ["login", "register"]);

    stop.send(()).unwrap();
    soon(running).await.unwrap().unwrap();
    assert_eq!(platform.state().log, ["login", "register", "deregister"]);
    assert!(platform.state().records.is_empty());
    assert!(
        client
            .call_json("kinds", "Debug.Health", &serde_json::json!({}))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn waits_for_a_server_that_is_not_there_yet() {
    let platform = Platform::default();
    let (address, server) = platform.listen("127.0.0.1:0").await;
    server.abort();
    let (stop, running) = start(platform.environment(address));
    until("the port is free", || {
        std::net::TcpListener::bind(address).is_ok()
    })
    .await;
    let (_, _server) = platform.listen(&address.to_string()).await;
    until("registered", || !platform.state().records.is_empty()).await;
    stop.send(()).unwrap();
    soon(running).await.unwrap().unwrap();
}

#[tokio::test]
async fn registers_again_when_the_server_came_back_without_its_memory() {
    let platform = Platform::default();
    let (address, server) = platform.listen("127.0.0.1:0").await;
    let (stop, running) = start(platform.environment(address));
    until("registered", || !platform.state().records.is_empty()).await;
    let node = platform.state().records[0].nodes[0].id.clone();

    server.abort();
    until("the port is free", || {
        std::net::TcpListener::bind(address).is_ok()
    })
    .await;
    {
        let mut state = platform.state();
        state.records.clear();
        state.log.clear();
    }
    let (_, _server) = platform.listen(&address.to_string()).await;
    until("registered again", || !platform.state().records.is_empty()).await;
    assert_eq!(platform.state().records[0].nodes[0].id, node);
    stop.send(()).unwrap();
    soon(running).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_refusal_ends_it_and_says_what_to_do() {
    let platform = Platform::default();
    let (address, _server) = platform.listen("127.0.0.1:0").await;
    let error = |environment| async {
        let (_stop, running) = start(environment);
        soon(running).await.unwrap().unwrap_err().to_string()
    };

    let by_hand = Environment {
        auth_id: None,
        auth_secret: None,
        ..platform.environment(address)
    };
    let text = error(by_hand).await;
    let said = format!("service kinds could not register at {address}: ");
    assert!(text.starts_with(&said), "{text}");
    assert!(
        text.contains("An account is required") && text.contains("`micro run`"),
        "{text}"
    );

    let wrong = Environment {
        auth_secret: Some("hunter2".into()),
        ..platform.environment(address)
    };
    let text = error(wrong).await;
    assert!(
        text.contains("cannot log in as kinds-latest: Secret not correct"),
        "{text}"
    );
    assert!(
        !text.contains("hunter2") && !text.contains("`micro run`"),
        "{text}"
    );

    platform.state().refusal = Some(Error::conflict("registry", "the name is taken"));
    let text = error(platform.environment(address)).await;
    assert!(text.contains("the name is taken (409 Conflict)"), "{text}");

    let text = error(Environment {
        proxy: Some("nowhere".into()),
        ..Environment::default()
    })
    .await;
    assert!(text.contains("invalid address \"nowhere\""), "{text}");
}

#[tokio::test]
async fn handlers_of_one_name_are_refused() {
    let twice = service(Environment::default())
        .handler(KindsServer::new(Handler::default()), proto::DESCRIPTORS);
    let error = twice
        .start_until(std::future::pending())
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("two handlers are called Kinds"), "{error}");
    let garbage = Service::new("x").handler(KindsServer::new(Handler::default()), b"\xff");
    let error = garbage
        .start_until(std::future::pending())
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("descriptors of kinds.Kinds"), "{error}");
    let foreign = Service::new("x").handler(
        KindsServer::new(Handler::default()),
        micro_proto::FILE_DESCRIPTOR_SET,
    );
    let error = foreign
        .start_until(std::future::pending())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("no descriptor of service kinds.Kinds"),
        "{error}"
    );
}

#[tokio::test]
async fn one_login_serves_many_calls_and_is_renewed_in_time() {
    let platform = Platform::default();
    let (address, _server) = platform.listen("127.0.0.1:0").await;
    let client = platform.client(address);
    let calls = (0..20).map(|_| async { client.registry().get("kinds").await.unwrap() });
    futures::future::join_all(calls).await;
    assert_eq!(platform.state().log, ["login"]);

    // A token of two seconds is renewed half a second before its end: the caller notices nothing.
    platform.state().token_life = 2;
    let client = platform.client(address);
    client.registry().get("kinds").await.unwrap();
    let started = std::time::Instant::now();
    until_async("renewed", async || {
        client.registry().get("kinds").await.unwrap();
        platform.asked("refresh") > 0
    })
    .await;
    assert!(started.elapsed() >= Duration::from_millis(1000));
    assert_eq!(platform.asked("login"), 2);

    // A refresh token that is void: the account logs in again.
    platform.state().refreshes = false;
    platform.state().log.clear();
    until_async("logged in", async || {
        client.registry().get("kinds").await.unwrap();
        platform.asked("login") > 0
    })
    .await;
    assert_eq!(platform.state().log, ["refresh", "login"]);

    // A token that the server knows no more: after a restart with new keys.
    platform.state().token_life = 600;
    let client = platform.client(address);
    client.registry().get("kinds").await.unwrap();
    platform.state().tokens.clear();
    let believed = async || client.registry().get("kinds").await.is_ok();
    until_async("believed again", believed).await;
}
