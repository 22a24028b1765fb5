//! Who may talk to etcd: certificates, users and passwords.

use etcd_client::Client;
use micro_etcd::{EtcdStore, Settings};
use micro_plugin_api::{Call, Code, Error, Secret, StoreHandle};
use micro_test_backends::{Etcd, soon, until};

use crate::common::{TABLE, host, open_store, put, read, settings, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_and_servers_show_each_other_certificates() {
    let etcd = Etcd::builder().client_certificates().start().await;
    let files = etcd.certificates().expect("certificates");
    let whole = Settings {
        ca: Some(files.ca.clone()),
        cert: Some(files.cert.clone()),
        key: Some(files.key.clone()),
        ..settings(etcd.endpoint())
    };
    let store = open_store(&whole).await;
    put(&store, "k", text("v")).await.expect("a commit");
    assert_eq!(
        read(&store, "k").await.expect("a read").as_deref(),
        Some("v")
    );

    let without_a_certificate = Settings {
        cert: None,
        key: None,
        ..whole.clone()
    };
    // Nothing that the system trusts has signed it.
    let without_the_authority = Settings { ca: None, ..whole };
    for settings in [without_a_certificate, without_the_authority] {
        let store = open_store(&settings).await;
        let error = read(&store, "k").await.expect_err("no access");
        assert_eq!(error.code(), Code::UNAVAILABLE, "{error}");
    }
}

#[tokio::test]
async fn a_file_that_is_not_there_is_named() {
    let settings = Settings {
        ca: Some("/no/such/ca.pem".into()),
        ..settings("https://127.0.0.1:1")
    };
    let error = EtcdStore::open(settings, host())
        .await
        .err()
        .expect("an error");
    assert_eq!(error.code(), Code::INVALID);
    let said = error.message();
    assert!(
        said.contains("`ca`") && said.contains("/no/such/ca.pem"),
        "{said}"
    );
}

/// Why etcd does not let one in: as opening says when it hears of it in time, or the first call.
async fn refused(settings: Settings) -> Error {
    match EtcdStore::open(settings, host()).await {
        Err(error) => error,
        Ok(store) => {
            let read = read(&StoreHandle::new(store), "k").await;
            read.expect_err("no access")
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_logs_in_and_again_when_the_token_is_no_longer_good() {
    let mut etcd = Etcd::builder().root_password("hunter2").start().await;
    let with = |username: &str, password: &str| Settings {
        username: username.to_owned(),
        password: Secret::new(password),
        ..settings(etcd.endpoint())
    };
    let (right, wrong, nobody) = (
        with("root", "hunter2"),
        with("root", "hunter3"),
        with("", ""),
    );

    for (settings, hint) in [(wrong, "`password`"), (nobody, "`username`")] {
        let error = refused(settings).await;
        assert_eq!(error.code(), Code::UNAVAILABLE, "{error}");
        assert!(error.message().contains(hint), "{error}");
        assert!(!error.message().contains("hunter"), "{error}");
    }

    let store = open_store(&right).await;
    put(&store, "k", text("before")).await.expect("a commit");
    let watch = store.watch(&Call::default(), TABLE, "").await;
    let mut watch = watch.expect("a watch");
    // Its tokens are in its memory.
    etcd.restart().await;
    until(async || put(&store, "k", text("after")).await.ok()).await;
    assert_eq!(
        read(&store, "k").await.expect("a read").as_deref(),
        Some("after")
    );
    use futures::StreamExt as _;
    let change = soon("the change", watch.next()).await;
    assert_eq!(change.expect("no end").expect("a change").key(), "k");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_without_a_permission_is_told_so() {
    let etcd = Etcd::builder().root_password("hunter2").start().await;
    let as_root = etcd_client::ConnectOptions::new().with_user("root", "hunter2");
    let mut root = Client::connect([etcd.endpoint()], Some(as_root))
        .await
        .expect("root");
    root.user_add("weak", "weak", None).await.expect("a user");
    let settings = Settings {
        username: "weak".to_owned(),
        password: Secret::new("weak"),
        ..settings(etcd.endpoint())
    };
    let error = refused(settings).await;
    assert_eq!(error.code(), Code::UNAVAILABLE, "{error}");
    assert!(
        error.message().contains("permission denied; grant"),
        "{error}"
    );
}
