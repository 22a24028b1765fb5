//! A credentials file, as the operator of a NATS with accounts hands it out.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use micro_nats::{NatsBroker, Settings};
use micro_plugin_api::Code;
use micro_test_backends::Nats;
use nkeys::KeyPair;
use serde_json::{Value, json};

use crate::common::{host, refused, settings, works};

/// A JWT by which `issuer` says something of `subject`.
fn jwt(issuer: &KeyPair, subject: &KeyPair, says: &Value) -> String {
    let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let header = part(json!({"typ": "JWT", "alg": "ed25519-nkey"}));
    let claims = part(json!({
        "jti": "test",
        "iat": 1_700_000_000,
        "iss": issuer.public_key(),
        "sub": subject.public_key(),
        "name": "test",
        "nats": says,
    }));
    let signed = format!("{header}.{claims}");
    let signature = issuer.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

fn file_of(jwt: &str, seed: &str) -> String {
    format!(
        "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )
}

#[tokio::test]
async fn a_credentials_file() {
    let (operator, account) = (KeyPair::new_operator(), KeyPair::new_account());
    let user = KeyPair::new_user();
    let operator_jwt = jwt(
        &operator,
        &operator,
        &json!({"type": "operator", "version": 2}),
    );
    let account_jwt = jwt(
        &operator,
        &account,
        &json!({"type": "account", "version": 2, "limits": {
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1,
            "wildcards": true, "conn": -1, "leaf": -1,
        }}),
    );
    let user_jwt = jwt(
        &account,
        &user,
        &json!({"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1}),
    );
    let config = format!(
        "operator: {operator_jwt}\nresolver: MEMORY\nresolver_preload: {{ {}: {account_jwt} }}",
        account.public_key()
    );
    let builder = Nats::builder().without_jetstream().config(&config);
    let nats = builder.start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("user.creds");
    let with = || Settings {
        credentials: Some(path.clone()),
        ..settings(&nats)
    };

    std::fs::write(&path, file_of(&user_jwt, &user.seed().unwrap())).unwrap();
    works(with()).await;

    // Somebody else's key proves nothing.
    let other = KeyPair::new_user().seed().unwrap();
    std::fs::write(&path, file_of(&user_jwt, &other)).unwrap();
    let error = refused(with()).await;
    assert!(error.message().contains("authorization"), "{error}");
    assert!(!error.message().contains(&other), "{error}");

    std::fs::write(&path, "nothing of the kind").unwrap();
    let Err(error) = NatsBroker::open(with(), host()).await else {
        panic!("a file without credentials is none");
    };
    assert_eq!(error.code(), Code::INVALID);
    assert!(error.message().contains("`credentials`"), "{error}");
}
