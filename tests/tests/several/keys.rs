//! The signing key that servers share through the store.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::future::join_all;
use micro_access::{Access, ConfigKeySource, KeySource};
use micro_proto::auth::{ListAccountsRequest, accounts_client::AccountsClient};
use micro_tests::{Core, wait_for};
use micro_wire::Error;

/// The name of the key in the header of a token.
fn kid(token: &str) -> String {
    let (header, _) = token.split_once('.').unwrap();
    let header = URL_SAFE_NO_PAD.decode(header).unwrap();
    let header: serde_json::Value = serde_json::from_slice(&header).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

/// Whether a server takes a token; what it says otherwise.
async fn uses(core: &Core, token: &str) -> Result<(), Error> {
    AccountsClient::new(core.door(token, ""))
        .list(ListAccountsRequest::default())
        .await
        .map(drop)
        .map_err(|status| Error::from_status(&status))
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_start_together_sign_with_one_key() {
    let first = Core::start().await;
    let shared = || KeySource::Store(first.config_key.clone());
    let servers = join_all((0..4).map(|_| first.another(shared()))).await;
    let mut kids = Vec::new();
    for server in &servers {
        let token = server.login("micro", "admin", "micro").await.unwrap();
        let token = token.access_token;
        kids.push(kid(&token));
        for other in &servers {
            uses(other, &token).await.unwrap();
        }
        // One with a key of its own has never heard of it.
        assert_eq!(uses(&first, &token).await.unwrap_err().code, 401);
    }
    kids.dedup();
    assert_eq!(kids.len(), 1, "{kids:?}");
    // So does one that starts later.
    let late = first.another(shared()).await;
    let token = late.login("micro", "admin", "micro").await.unwrap();
    assert_eq!(kid(&token.access_token), kids[0]);
}

#[tokio::test]
async fn a_server_with_another_config_secret_key_is_told_what_to_do() {
    let first = Core::start().await;
    first
        .another(KeySource::Store(first.config_key.clone()))
        .await;
    let other = ConfigKeySource::Memory.load().unwrap();
    let refused = Access::open(first.modules.clone(), KeySource::Store(other)).await;
    let error = refused.err().unwrap().to_string();
    for part in [
        "the signing key in the store cannot be opened",
        "all servers that share a store need the same one",
        "MICRO_CONFIG_SECRET_KEY",
        "~/.micro/config_secret_key",
    ] {
        assert!(error.contains(part), "no {part:?} in: {error}");
    }
}

/// A server that starts while its store is down serves, and has its key as soon as that is back.
#[tokio::test]
async fn a_key_in_a_store_that_is_down_comes_later() {
    let first = Core::start().await;
    let shared = || KeySource::Store(first.config_key.clone());
    let running = first.another(shared()).await;
    let token = running.login("micro", "admin", "micro").await.unwrap();
    let token = token.access_token;

    first.store.fail(true);
    let access = Access::open(first.modules.clone(), shared()).await.unwrap();
    let problem = access.key_problem().unwrap();
    assert!(problem.contains("the backend is away"), "{problem}");
    let mut headers = http::HeaderMap::new();
    let value = format!("Bearer {token}").parse().unwrap();
    headers.insert("authorization", value);
    // Not 401: nobody knows whether the token is good.
    let refused = access.admit(&mut headers, "store", "Store.Read").await;
    let refused = refused.err().unwrap();
    assert_eq!(refused.code, 503, "{refused:?}");

    first.store.fail(false);
    wait_for("the key", async || access.tokens().ok().map(drop)).await;
    assert_eq!(access.key_problem(), None);
    let admitted = access.admit(&mut headers, "store", "Store.Read").await;
    assert_eq!(admitted.unwrap().account.unwrap().id, "admin");
}
