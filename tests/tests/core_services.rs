//! What holds for every core service, in process: which there are, how a call finds a handler,
//! what the registry is told, health and counts.

use std::collections::BTreeSet;

use micro_proto::debug::{StatsRequest, debug_client::DebugClient};
use micro_tests::{Core, call_json};
use micro_wire::Error;
use tonic::Code;

const REGISTERED: [&str; 10] = [
    "api", "auth", "broker", "config", "events", "network", "proxy", "registry", "runtime", "store",
];

#[tokio::test]
async fn every_service_answers_debug() {
    let core = Core::start().await;
    let door = core.door("", "");
    for name in REGISTERED.into_iter().chain(["debug"]) {
        assert!(core.services.serves(name), "{name}");
        let health = call_json(&door, &format!("/{name}.Debug/Health"), "{}").await;
        assert_eq!(
            health.unwrap(),
            serde_json::json!({"status": "ok"}),
            "{name}"
        );
        for missing in ["Log", "Trace"] {
            let path = format!("/{name}.Debug/{missing}");
            let status = call_json(&door, &path, "{}").await.unwrap_err();
            assert_eq!(status.code(), Code::Unimplemented, "{path}");
        }
    }
    // As a client made from debug.proto calls it: protobuf, by the package's own name.
    let stats = DebugClient::new(door).stats(StatsRequest {}).await.unwrap();
    assert!(stats.into_inner().memory > 1_000_000);
}

#[tokio::test]
async fn a_handler_is_reached_under_its_service_alone() {
    let core = Core::start().await;
    let door = core.door("", "");
    for (path, code, message) in [
        (
            "/auth.Store/Read",
            Code::Unimplemented,
            "unknown service Store",
        ),
        (
            "/api.Auth/Token",
            Code::Unimplemented,
            "unknown service Auth",
        ),
        (
            "/auth.Auth/Nosuch",
            Code::Unimplemented,
            "unknown service Auth.Nosuch",
        ),
        (
            "/nosuch.Foo/Bar",
            Code::NotFound,
            r#"{"id":"go.micro.client","code":404,"detail":"service nosuch: route not found","status":"Not Found"}"#,
        ),
        (
            "/router.Router/Lookup",
            Code::NotFound,
            r#"{"id":"go.micro.client","code":404,"detail":"service router: route not found","status":"Not Found"}"#,
        ),
    ] {
        let status = call_json(&door, path, "{}").await.unwrap_err();
        assert_eq!((status.code(), status.message()), (code, message), "{path}");
    }
}

#[tokio::test]
async fn json_is_spoken_as_well() {
    let core = Core::start().await;
    let door = core.door("", "");
    let login = r#"{"id":"admin","secret":"micro","tokenExpiry":"60","nosuch":1}"#;
    let answer = call_json(&door, "/auth.Auth/Token", login).await.unwrap();
    let number = |key: &str| {
        answer["token"][key]
            .as_str()
            .unwrap()
            .parse::<i64>()
            .unwrap()
    };
    assert_eq!(number("expiry") - number("created"), 60);
    let wrong = r#"{"id":"admin","secret":"no"}"#;
    let status = call_json(&door, "/auth.Auth/Token", wrong)
        .await
        .unwrap_err();
    assert_eq!(
        Error::from(status),
        Error::bad_request("auth.Auth.Token", "Secret not correct")
    );
}

#[tokio::test]
async fn the_registry_is_told_of_every_endpoint() {
    let core = Core::start().await;
    let records = core.services.records();
    let names: Vec<_> = records.iter().map(|record| record.name.as_str()).collect();
    for name in REGISTERED {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    assert!(names.is_sorted() && !names.contains(&"debug"), "{names:?}");
    for record in &records {
        let endpoints: BTreeSet<_> = record.endpoints.iter().map(|e| e.name.as_str()).collect();
        assert!(!endpoints.contains("Debug.Health"), "{}", record.name);
        assert_eq!(record.domain, "micro");
    }
    let auth = records.iter().find(|record| record.name == "auth").unwrap();
    let token = auth
        .endpoints
        .iter()
        .find(|endpoint| endpoint.name == "Auth.Token")
        .unwrap();
    let fields = &token.request.as_ref().unwrap().values;
    let fields: Vec<_> = fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(
        fields,
        ["id", "secret", "refresh_token", "token_expiry", "options"]
    );
}

#[tokio::test]
async fn calls_and_failures_are_counted_by_service() {
    let core = Core::start().await;
    let door = core.door("", "");
    let counts = async |name: &str| {
        let path = format!("/{name}.Debug/Stats");
        let stats = call_json(&door, &path, "{}").await.unwrap();
        let number = |key: &str| stats[key].as_str().unwrap().parse::<u64>().unwrap();
        (number("requests"), number("errors"))
    };
    let (requests, errors) = counts("auth").await;
    for _ in 0..3 {
        call_json(&door, "/auth.Accounts/List", "{}")
            .await
            .unwrap_err();
    }
    assert_eq!(counts("auth").await, (requests + 4, errors + 3));
    assert_eq!(counts("store").await.1, 0);
}

#[tokio::test]
async fn a_service_is_as_well_as_its_modules() {
    let core = Core::start().await;
    let health = core.services.health(&core.modules.health().await);
    assert!(
        health.iter().all(|health| health.error.is_none()),
        "{health:?}"
    );
    let failing = [micro_modules::ModuleHealth {
        module: "store",
        plugin: "memory".into(),
        error: Some("away".into()),
    }];
    for health in core.services.health(&failing) {
        let concerned = ["auth", "config", "store", "runtime"].contains(&health.service);
        let expected = concerned.then(|| "store (memory): away".to_owned());
        assert_eq!(health.error, expected, "{}", health.service);
    }
}
