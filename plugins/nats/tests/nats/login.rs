//! Who may come: passwords, tokens, certificates.

use micro_nats::Settings;
use micro_plugin_api::{Code, Secret};
use micro_test_backends::Nats;

use crate::common::{refused, settings, works};

#[tokio::test]
async fn user_and_password() {
    let nats = Nats::builder().password("micro", "s3cret").start().await;
    let with = |password: &str| Settings {
        username: Some("micro".to_owned()),
        password: Some(Secret::new(password)),
        ..settings(&nats)
    };
    works(with("s3cret")).await;
    for settings in [with("hidden"), settings(&nats)] {
        let error = refused(settings).await;
        assert_eq!(error.code(), Code::UNAVAILABLE);
        assert!(error.message().contains("authorization"), "{error}");
        assert!(!error.message().contains("hidden"), "{error}");
    }
}

#[tokio::test]
async fn a_token() {
    let nats = Nats::builder().token("s3cret").start().await;
    let with = |token: &str| Settings {
        token: Some(Secret::new(token)),
        ..settings(&nats)
    };
    works(with("s3cret")).await;
    let error = refused(with("hidden")).await;
    assert!(error.message().contains("authorization"), "{error}");
    assert!(!error.message().contains("hidden"), "{error}");
}

#[tokio::test]
async fn tls_with_an_authority_that_is_named() {
    let nats = Nats::builder().tls().start().await;
    let files = nats.certificates().unwrap();
    works(Settings {
        ca: Some(files.ca.clone()),
        ..settings(&nats)
    })
    .await;
    // This machine does not trust that authority of itself.
    let error = refused(settings(&nats)).await;
    assert_eq!(error.code(), Code::UNAVAILABLE);
}

#[tokio::test]
async fn tls_with_a_certificate_of_the_client() {
    let nats = Nats::builder().client_certificates().start().await;
    let files = nats.certificates().unwrap();
    let without = Settings {
        ca: Some(files.ca.clone()),
        ..settings(&nats)
    };
    works(Settings {
        cert: Some(files.cert.clone()),
        key: Some(files.key.clone()),
        ..without.clone()
    })
    .await;
    let error = refused(without).await;
    assert_eq!(error.code(), Code::UNAVAILABLE);
}

#[tokio::test]
async fn who_wants_tls_does_not_speak_without() {
    let (plain, tls) = (Nats::start().await, Nats::builder().tls().start().await);
    let error = refused(Settings {
        ca: Some(tls.certificates().unwrap().ca.clone()),
        ..settings(&plain)
    })
    .await;
    assert_eq!(error.code(), Code::UNAVAILABLE);
}
