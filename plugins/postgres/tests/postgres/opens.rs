//! Opening: several servers at once, tables of another version, a database that is not there.

use futures::future::join_all;
use micro_plugin_api::{Code, store::Precondition};

use crate::common::{Behind, Instance, new_database, refusal, settings};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_that_open_an_empty_database_at_once_all_serve() {
    for _ in 0..3 {
        let url = new_database().await;
        let opening = (0..8).map(|_| {
            let settings = settings(&url);
            tokio::spawn(Instance::open(settings))
        });
        for (i, opened) in join_all(opening).await.into_iter().enumerate() {
            let instance = opened.unwrap().unwrap();
            let key = format!("of {i}");
            instance.put(&key, Precondition::Absent).await.unwrap();
        }
        let mut behind = Behind::new(&url).await;
        assert_eq!(behind.number("SELECT count(*) FROM migrations").await, 1);
        assert_eq!(behind.number("SELECT count(*) FROM records").await, 8);
    }
}

#[tokio::test]
async fn schemas_of_one_database_are_apart() {
    let url = new_database().await;
    let first = Instance::open(settings(&url)).await.unwrap();
    first.put("k", Precondition::Absent).await.unwrap();
    let mut other = settings(&url);
    other.schema = "Another_1".to_owned();
    let second = Instance::open(other).await.unwrap();
    assert_eq!(second.value("k").await.unwrap(), None);
    second.put("k", Precondition::Absent).await.unwrap();
}

#[tokio::test]
async fn tables_of_a_newer_version_are_refused() {
    let url = new_database().await;
    drop(Instance::open(settings(&url)).await.unwrap());
    let mut behind = Behind::new(&url).await;
    behind.execute("UPDATE migrations SET step = 99").await;
    let error = refusal(settings(&url)).await;
    assert_eq!(error.code(), Code::INVALID);
    assert!(error.message().contains("newer version"), "{error}");
}

#[tokio::test]
async fn a_database_that_is_not_there_is_said_at_the_start() {
    let server = micro_test_backends::Postgres::shared().await;
    let url = server.url("no_such_database");
    let error = refusal(settings(url)).await;
    assert_eq!(error.code(), Code::INVALID);
    assert!(error.message().contains("no_such_database"), "{error}");
}

#[tokio::test]
async fn an_account_that_may_make_no_schema_uses_the_one_that_was_made_for_it() {
    let url = new_database().await;
    let mut behind = Behind::new(&url).await;
    let name = micro_test_backends::unique("guest");
    for statement in [
        format!("CREATE ROLE {name} LOGIN"),
        format!("CREATE SCHEMA micro AUTHORIZATION {name}"),
    ] {
        behind.execute_owned(statement).await;
    }
    let guest = url.replace("postgres@", &format!("{name}@"));
    let instance = Instance::open(settings(guest)).await.unwrap();
    instance.put("k", Precondition::Absent).await.unwrap();
}
