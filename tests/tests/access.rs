//! What guards every door, in process: admission, rules, and how fast changes are seen.

use std::time::{Duration, Instant};

use micro_access::{Caller, KeySource};
use micro_plugin_api::{
    Call,
    store::{Commit, Precondition, Put, Table},
};
use micro_proto::auth::{
    DeleteAccountRequest, GenerateRequest, ListAccountsRequest, ListRequest,
    accounts_client::AccountsClient, auth_client::AuthClient, rules_client::RulesClient,
};
use micro_tests::{Core, call_json, wait_for};
use micro_wire::Error;

/// How soon a change must be seen: one second is the promise, the rest is for a busy machine.
const SOON: Duration = Duration::from_secs(15);

#[tokio::test]
async fn every_server_notices_a_deletion_soon() {
    let key = KeySource::Text(
        "-----BEGIN PRIVATE KEY-----\n\
         MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
         -----END PRIVATE KEY-----\n"
            .into(),
    );
    let core = Core::start().await;
    let (one, other) = (core.another(key.clone()).await, core.another(key).await);
    let admin = one.admin().await;
    AuthClient::new(admin.clone())
        .generate(GenerateRequest {
            id: "jane".into(),
            secret: "s3cret".into(),
            scopes: vec!["admin".into()],
            ..GenerateRequest::default()
        })
        .await
        .unwrap();
    let token = one.login("micro", "jane", "s3cret").await.unwrap();
    let mut there = AccountsClient::new(other.door(&token.access_token, ""));
    there.list(ListAccountsRequest::default()).await.unwrap();

    AccountsClient::new(admin)
        .delete(DeleteAccountRequest {
            id: "jane".into(),
            ..DeleteAccountRequest::default()
        })
        .await
        .unwrap();
    let deleted = Instant::now();
    wait_for("the other server to refuse the token", || {
        let mut there = there.clone();
        async move { there.list(ListAccountsRequest::default()).await.err() }
    })
    .await;
    assert!(deleted.elapsed() < SOON);
}

/// Writes a rule as another server would, and tells of it.
async fn write_rule(core: &Core, namespace: &str, id: &str, rule: serde_json::Value) {
    let put = |value: &serde_json::Value| Put {
        value: value.to_string().into(),
        ..Put::default()
    };
    let (rules, auth) = (
        Table::new("$platform", "rules"),
        Table::new("$platform", "auth"),
    );
    let key = format!("rules/{namespace}/{id}");
    let commit = Commit::new()
        .put(rules, key, Precondition::Any, put(&rule))
        .put(auth, "epoch", Precondition::Any, put(&1.into()));
    let store = core.modules.store();
    let committed = store.commit(&Call::new(""), &commit).await;
    committed.expect("the rule is written");
}

#[tokio::test]
async fn rules_are_seen_and_obeyed() {
    let core = Core::start().await;
    let admin = core.admin().await;
    let mut anonymous = RulesClient::new(core.door("", ""));
    let mut rules = RulesClient::new(admin.clone());
    let nobody = anonymous.list(ListRequest::default()).await;
    assert_eq!(
        Error::from(nobody.unwrap_err()),
        Error::unauthorized("auth.Rules.List", "An account is required")
    );
    let listed = rules.list(ListRequest::default()).await.unwrap();
    let listed = listed.into_inner().rules;
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].id.as_str(), listed[0].access), ("default", 1));
    let resource = listed[0].resource.clone().unwrap();
    assert_eq!(
        [resource.r#type, resource.name, resource.endpoint],
        ["*", "*", "*"]
    );

    // A stricter rule goes before the default one.
    let rule = serde_json::json!({
        "id": "strict", "scope": "", "access": "DENIED", "priority": 5,
        "resource": {"type": "service", "name": "store", "endpoint": "Store.List"},
    });
    write_rule(&core, "micro", "strict", rule).await;
    let written = Instant::now();
    let denied = wait_for("the rule to be seen", || async {
        call_json(&core.door("", ""), "/store.Store/List", "{}")
            .await
            .err()
            .map(Error::from)
            .filter(|error| error.id == "store")
    })
    .await;
    assert!(written.elapsed() < SOON);
    assert_eq!(
        denied,
        Error::unauthorized("store", "Unauthorized call made to store:Store.List")
    );
    let denied = call_json(&admin, "/store.Store/List", "{}").await;
    assert_eq!(
        Error::from(denied.unwrap_err()),
        Error::forbidden("store", "Forbidden call made to store:Store.List by admin")
    );
    call_json(&admin, "/store.Store/Databases", "{}")
        .await
        .unwrap();
}

#[tokio::test]
async fn admission() {
    let core = Core::start().await;
    let token = core.login("micro", "admin", "micro").await.unwrap();
    let bearer = format!("Bearer {}", token.access_token);
    let basic = {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let credentials = format!("anybody:{}", token.access_token);
        format!("Basic {}", STANDARD.encode(credentials))
    };
    let admit = async |authorization: &str, namespace: &str| -> Result<(Caller, String), Error> {
        let mut headers = http::HeaderMap::new();
        if !authorization.is_empty() {
            headers.insert("authorization", authorization.parse().unwrap());
        }
        if !namespace.is_empty() {
            headers.insert("micro-namespace", namespace.parse().unwrap());
        }
        let caller = core.access.admit(&mut headers, "svc", "Ep.Call").await?;
        let back = headers["micro-namespace"].to_str().unwrap().to_owned();
        Ok((caller, back))
    };
    for (authorization, namespace, id, seen) in [
        ("", "", None, "micro"),
        ("", "foo", None, "foo"),
        (bearer.as_str(), "", Some("admin"), "micro"),
        (bearer.as_str(), "foo", Some("admin"), "foo"),
        (basic.as_str(), "", Some("admin"), "micro"),
        ("Bearer garbage", "", None, "micro"),
        ("Bearer ", "", None, "micro"),
    ] {
        let (caller, back) = admit(authorization, namespace).await.unwrap();
        let account = caller.account.as_ref().map(|account| account.id.as_str());
        assert_eq!(account, id, "{authorization}");
        assert_eq!((caller.namespace.as_str(), back.as_str()), (seen, seen));
    }
    for (authorization, namespace, code, detail) in [
        (
            "Digest x",
            "",
            401,
            "invalid authorization header. Expected Bearer or Basic schema",
        ),
        (
            "Basic Zm9v",
            "",
            401,
            "invalid authorization header. Incorrect format",
        ),
        (
            "",
            "$platform",
            400,
            "the header Micro-Namespace names no namespace",
        ),
        (
            "",
            "a/b",
            400,
            "the header Micro-Namespace names no namespace",
        ),
    ] {
        let error = admit(authorization, namespace).await.unwrap_err();
        assert_eq!(error, Error::new("svc", code, detail));
    }
    // Naming namespaces leaves nothing behind.
    let call = Call::new("");
    let tables = core
        .modules
        .store()
        .tables(&call, "$platform")
        .await
        .unwrap();
    assert!(!tables.contains(&"rules".to_owned()), "{tables:?}");
}

#[tokio::test]
async fn a_known_token_costs_no_look_into_the_store() {
    let core = Core::start().await;
    let token = core.login("micro", "admin", "micro").await.unwrap();
    let mut headers = http::HeaderMap::new();
    let bearer = format!("Bearer {}", token.access_token);
    headers.insert("authorization", bearer.parse().unwrap());
    core.access
        .admit(&mut headers, "svc", "Ep.Call")
        .await
        .unwrap();
    let (before, since) = (core.store.reads(), Instant::now());
    // From several runtimes at once, as the doors do.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let (access, mut headers) = (core.access.clone(), headers.clone());
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                runtime.block_on(async {
                    for _ in 0..2_000 {
                        let caller = access.admit(&mut headers, "svc", "Ep.Call").await.unwrap();
                        assert!(caller.account.is_some());
                    }
                });
            });
        }
    });
    let polls = u64::try_from(since.elapsed().as_millis() / 500).unwrap() + 1;
    assert!(core.store.reads() - before <= polls);
}

#[tokio::test]
async fn without_the_store_admins_wait_and_others_go_on() {
    let core = Core::start().await;
    let admin = core.admin().await;
    let token = core.login("micro", "admin", "micro").await.unwrap();
    let mut headers = http::HeaderMap::new();
    let bearer = format!("Bearer {}", token.access_token);
    headers.insert("authorization", bearer.parse().unwrap());
    let mut accounts = AccountsClient::new(admin);
    accounts.list(ListAccountsRequest::default()).await.unwrap();
    core.access
        .admit(&mut headers, "svc", "Ep.Call")
        .await
        .unwrap();

    core.store.fail(true);
    wait_for("access to know that it is blind", || async {
        core.access.is_stale().then_some(())
    })
    .await;
    let caller = core
        .access
        .admit(&mut headers, "svc", "Ep.Call")
        .await
        .unwrap();
    assert!(caller.authorize("x", "micro").is_ok());
    assert_eq!(caller.authorize_admin("x", "micro").unwrap_err().code, 503);
    let refused = accounts.list(ListAccountsRequest::default()).await;
    assert_eq!(Error::from(refused.unwrap_err()).code, 503);
    let unhealthy = core.services.health(&core.modules.health().await);
    let auth = unhealthy.iter().find(|h| h.service == "auth").unwrap();
    assert!(auth.error.is_some());

    core.store.fail(false);
    wait_for("access to see again", || {
        let mut accounts = accounts.clone();
        async move { accounts.list(ListAccountsRequest::default()).await.ok() }
    })
    .await;
}
