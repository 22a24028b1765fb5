//! TLS: what is checked, and what is refused.

use micro_plugin_api::{Code, store::Precondition};
use micro_postgres::Settings;
use micro_test_backends::Postgres;

use crate::common::{Behind, Instance, hasty, refusal, settings};

/// The url without what the harness adds, with this mode.
fn with_mode(url: &str, mode: &str) -> String {
    let (plain, _) = url.split_once('?').unwrap();
    format!("{plain}?sslmode={mode}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_checked_as_the_mode_says() {
    let server = Postgres::builder().tls().start().await;
    let url = server.url(&server.database("tls").await);
    let certificates = server.certificates().unwrap();
    let ca = Some(certificates.ca.clone());
    // A certificate that signed nothing.
    let stranger = Some(certificates.cert.clone());
    let mut behind = Behind::new(&url).await;

    for (mode, ca, serves) in [
        ("prefer", None, true),
        ("require", None, true),
        ("require", ca.clone(), true),
        ("verify-ca", ca.clone(), true),
        ("verify-full", ca.clone(), true),
        ("require", stranger.clone(), false),
        ("verify-ca", stranger.clone(), false),
        ("verify-full", stranger.clone(), false),
        // Nobody that the world trusts signed it.
        ("verify-full", None, false),
    ] {
        let settings = Settings {
            ca: ca.clone(),
            ..settings(with_mode(&url, mode))
        };
        let instance = Instance::open(settings).await.unwrap();
        if serves {
            instance.put("k", Precondition::Any).await.unwrap();
            let encrypted = behind.number(
                "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                 WHERE application_name = 'micro' AND ssl",
            );
            assert!(encrypted.await > 0, "{mode} {ca:?}");
            let plain = behind.number(
                "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                 WHERE application_name = 'micro' AND NOT ssl",
            );
            assert_eq!(plain.await, 0, "{mode} {ca:?}");
        } else {
            let error = instance.store.health(&hasty()).await.unwrap_err();
            assert_eq!(error.code(), Code::UNAVAILABLE, "{mode} {ca:?}: {error}");
        }
    }
    // This server takes no other clients.
    let refused = refusal(settings(with_mode(&url, "disable"))).await;
    assert_eq!(refused.code(), Code::INVALID);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_shows_its_certificate() {
    let server = Postgres::builder().client_certificates().start().await;
    let certificates = server.certificates().unwrap();
    let mut settings = Settings {
        ca: Some(certificates.ca.clone()),
        ..settings(with_mode(&server.url("postgres"), "verify-full"))
    };
    let refused = refusal(settings.clone()).await;
    assert_eq!(refused.code(), Code::INVALID, "{refused}");
    assert!(refused.message().contains("certificate"), "{refused}");
    settings.cert = Some(certificates.cert.clone());
    let half = refusal(settings.clone()).await;
    assert!(half.message().contains("`key`"), "{half}");
    settings.key = Some(certificates.key.clone());
    let instance = Instance::open(settings).await.unwrap();
    instance.put("k", Precondition::Any).await.unwrap();
}
