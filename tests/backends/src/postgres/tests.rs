//! A PostgreSQL goes down and comes back with what it had, and is what it was asked to be.

use tokio::process::Command;

use super::{Postgres, Program, execute, output};
use crate::Error;

/// A `psql` that comes by the address that tests use.
fn psql(url: &str) -> Command {
    let postgres = Program::Postgres.find().unwrap();
    let mut command = Command::new(postgres.with_file_name("psql"));
    command.arg(url);
    command
}

async fn select(url: &str, statement: &str) -> Result<String, Error> {
    let mut command = psql(url);
    command.args([
        "--no-password",
        "--tuples-only",
        "--no-align",
        "--command",
        statement,
    ]);
    Ok(output(command).await?.trim().to_owned())
}

#[tokio::test]
async fn it_comes_back_on_its_port_with_its_data() {
    let mut postgres = Postgres::start().await;
    let database = postgres.database("back").await;
    let url = postgres.url(&database);
    execute(psql(&url), "create table t as select 42 as n")
        .await
        .unwrap();

    postgres.kill();
    assert!(select(&url, "select n from t").await.is_err());
    postgres.restart().await;
    assert_eq!(select(&url, "select n from t").await.unwrap(), "42");
}

#[tokio::test]
async fn all_its_processes_are_paused() {
    let mut postgres = Postgres::start().await;
    let url = postgres.url("postgres");
    postgres.pause();
    let mut asked = Box::pin(select(&url, "select 1"));
    // Not a wait: a paused server is one that does not answer for a while.
    let pause = tokio::time::sleep(std::time::Duration::from_millis(200));
    tokio::select! {
        _ = &mut asked => panic!("a paused server answers nothing"),
        () = pause => {}
    }
    postgres.resume();
    assert_eq!(asked.await.unwrap(), "1");
}

#[tokio::test]
async fn it_asks_for_a_password() {
    let postgres = Postgres::builder().password("secret").start().await;
    let url = postgres.url("postgres");
    assert_eq!(select(&url, "select 1").await.unwrap(), "1");
    assert!(
        select(&url.replace(":secret", ""), "select 1")
            .await
            .is_err()
    );
    let database = postgres.database("locked").await;
    assert_eq!(
        select(&postgres.url(&database), "select 1").await.unwrap(),
        "1"
    );
}

#[tokio::test]
async fn it_speaks_tls_and_asks_for_a_certificate() {
    let postgres = Postgres::builder().client_certificates().start().await;
    let url = postgres.url("postgres");
    let tls = postgres.certificates().unwrap();
    assert!(select(&url, "select 1").await.is_err());
    let plain = url.replace("verify-full", "disable");
    assert!(select(&plain, "select 1").await.is_err());
    let with = format!(
        "{url}&sslcert={}&sslkey={}",
        tls.cert.display(),
        tls.key.display()
    );
    assert_eq!(select(&with, "select 1").await.unwrap(), "1");
    let database = postgres.database("tls").await;
    assert!(database.starts_with("tls_"));
}

#[tokio::test]
async fn the_shared_one_gives_everybody_a_database() {
    let postgres = Postgres::shared().await;
    let (one, other) = (postgres.database("d").await, postgres.database("d").await);
    assert_ne!(one, other);
    execute(psql(&postgres.url(&one)), "create table t ()")
        .await
        .unwrap();
    assert!(
        select(&postgres.url(&other), "select * from t")
            .await
            .is_err()
    );
}
