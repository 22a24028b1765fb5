//! Statements that the server puts off, gives up or refuses, and how many sessions run them.

use futures::future::join_all;
use micro_plugin_api::{Code, store::Precondition};
use micro_postgres::{Period, Settings};

use crate::common::{Behind, Instance, new_database, settings};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_serialization_failure_is_tried_again() {
    let url = new_database().await;
    let instance = Instance::open(settings(&url)).await.unwrap();
    let mut behind = Behind::new(&url).await;
    behind.execute("CREATE SEQUENCE tries").await;
    behind
        .execute(
            "CREATE FUNCTION fail() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN \
             IF nextval('micro.tries') <= 3 THEN \
             RAISE EXCEPTION 'try again' USING ERRCODE = '40001'; END IF; RETURN NEW; END $$",
        )
        .await;
    behind
        .execute(
            "CREATE TRIGGER fails BEFORE INSERT ON records FOR EACH ROW EXECUTE FUNCTION fail()",
        )
        .await;
    let version = instance.put("k", Precondition::Absent).await.unwrap();
    assert_eq!(behind.number("SELECT last_value FROM tries").await, 4);
    let next = instance.put("k", Precondition::Version(version)).await;
    assert!(next.unwrap().0 > version.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_commits_that_wait_together_only_the_refused_one_fails() {
    let url = new_database().await;
    let instance = Instance::open(settings(&url)).await.unwrap();
    let mut behind = Behind::new(&url).await;
    behind
        .execute(
            "CREATE FUNCTION refuse() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN \
             IF NEW.head = convert_to('bad', 'UTF8') THEN RAISE EXCEPTION 'not that one'; END IF; \
             RETURN NEW; END $$",
        )
        .await;
    behind
        .execute(
            "CREATE TRIGGER refuses BEFORE INSERT ON records FOR EACH ROW EXECUTE FUNCTION refuse()",
        )
        .await;
    // While the lock is held they gather behind it.
    behind.execute("BEGIN").await;
    behind.number("SELECT version FROM clock FOR UPDATE").await;
    let keys: Vec<_> = (0..20).map(|i| format!("k{i}")).collect();
    let good = join_all(
        keys.iter()
            .map(|key| instance.put(key, Precondition::Absent)),
    );
    let bad = instance.put("bad", Precondition::Absent);
    let released = behind.execute("ROLLBACK");
    let (good, bad, ()) = tokio::join!(good, bad, released);
    for outcome in good {
        outcome.unwrap();
    }
    let bad = bad.unwrap_err();
    assert_eq!(bad.code(), Code::INTERNAL);
    assert!(bad.message().contains("not that one"), "{bad}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_takes_too_long_is_given_up() {
    let url = new_database().await;
    let instance = Instance::open(Settings {
        statement_timeout: Period::from_secs(3),
        ..settings(&url)
    })
    .await
    .unwrap();
    instance.put("before", Precondition::Absent).await.unwrap();
    let mut behind = Behind::new(&url).await;
    behind.execute("BEGIN").await;
    behind.number("SELECT version FROM clock FOR UPDATE").await;
    let error = instance.put("k", Precondition::Absent).await.unwrap_err();
    assert_eq!(error.code(), Code::UNAVAILABLE);
    assert!(error.message().contains("statement timeout"), "{error}");
    // Reads wait for nobody.
    assert!(instance.value("before").await.unwrap().is_some());
    behind.execute("ROLLBACK").await;
    instance.put("k", Precondition::Absent).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_connections_are_made_than_the_settings_allow() {
    let url = new_database().await;
    let instance = Instance::open(Settings {
        max_connections: 3,
        ..settings(&url)
    })
    .await
    .unwrap();
    let mut behind = Behind::new(&url).await;
    for round in 0..5 {
        let keys: Vec<_> = (0..40).map(|i| format!("{round}/{i}")).collect();
        let puts = join_all(
            keys.iter()
                .map(|key| instance.put(key, Precondition::Absent)),
        );
        let reads = join_all(keys.iter().map(|key| instance.value(key)));
        let sessions = behind.number(
            "SELECT count(*) FROM pg_stat_activity \
             WHERE datname = current_database() AND application_name = 'micro'",
        );
        let (puts, reads, sessions) = tokio::join!(puts, reads, sessions);
        assert!(puts.into_iter().all(|outcome| outcome.is_ok()));
        assert!(reads.into_iter().all(|outcome| outcome.is_ok()));
        assert!((1..=3).contains(&sessions), "{sessions} sessions");
    }
}
