//! "Run helloworld" and "Runtime".

use micro_tests::{assert_shows, example};

use crate::Reader;

const STATUS: &str = "NAME VERSION SOURCE STATUS BUILD UPDATED METADATA
     helloworld latest … running n/a … ago owner=admin, group=micro";

pub(crate) async fn run_helloworld(reader: &Reader) {
    let ran = reader.server.run_example("helloworld").await;
    assert_shows(&ran.success(), "");
    assert_shows(&reader.shows("micro status").await, STATUS);
    let services = reader.shows("micro services").await;
    assert!(
        services.lines().any(|line| line == "helloworld"),
        "{services}"
    );
}

pub(crate) async fn status_logs_update_kill(reader: &Reader) {
    assert_shows(&reader.shows("micro status").await, STATUS);
    let logs = reader.shows("micro logs helloworld").await;
    assert!(logs.contains("helloworld"), "{logs}");
    // Of local code the path, as the page says.
    let update = ["update".to_owned(), example("helloworld")];
    reader.server.micro(update).await.success();
    assert_shows(&reader.shows("micro status").await, STATUS);
    assert_shows(
        &reader.shows("micro helloworld --name=John").await,
        r#"{ "msg": "Hello John" }"#,
    );
    // Another name than that of the folder.
    let run = [
        "--name".to_owned(),
        "greeter".to_owned(),
        example("helloworld"),
    ];
    reader.server.run_source(run).await.success();
    assert_shows(
        &reader.shows("micro greeter --name=John").await,
        r#"{ "msg": "Hello John" }"#,
    );
    reader.shows("micro kill greeter").await;
    reader.shows("micro kill helloworld").await;
    assert_eq!(reader.shows("micro status").await, "");
}
