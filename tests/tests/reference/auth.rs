//! "Auth": locking down helloworld, and accounts.

use micro_tests::{assert_shows, wait_for};

use crate::Reader;

const PATH: &str = "/helloworld/call?name=Alice";
const HELLO: &str = r#"{"msg":"Hello Alice"}"#;

pub(crate) async fn rules(reader: &Reader) {
    assert_shows(
        &reader.shows("micro auth list rules").await,
        "ID Scope Access Resource Priority
         default <public> GRANTED *:*:* 0",
    );
    assert_eq!(reader.server.get(PATH).await.text(), HELLO);
    let create = "micro auth create rule --access=granted";
    let line = format!("{create} --scope='*' --resource=\"*:*:*\" onlyloggedin");
    reader.shows(&line).await;
    let line = format!("{create} --resource=\"service:auth:*\" auth-public");
    reader.shows(&line).await;
    let listed = reader.shows("micro auth list rules").await;
    // The page shows them in an order of its own.
    let mut rows: Vec<_> = listed.lines().skip(1).collect();
    rows.sort_unstable();
    assert_shows(
        &rows.join("\n"),
        "auth-public <public> GRANTED service:auth:* 0
         default <public> GRANTED *:*:* 0
         onlyloggedin * GRANTED *:*:* 0",
    );
    assert_shows(
        &reader.shows("micro auth delete rule default").await,
        "Rule deleted",
    );
    let denied = wait_for("the gateway to heed the rules", || async {
        let answer = reader.server.get(PATH).await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    assert_eq!(denied.status, 401);
    assert_eq!(
        denied.text(),
        r#"{"Id":"helloworld","Code":401,"Detail":"Unauthorized call made to helloworld:Helloworld.Call","Status":"Unauthorized"}"#
    );
    let token = reader.shows("micro user token").await;
    let bearer = format!("Bearer {}", token.trim());
    let authorized = reader
        .server
        .get_with(PATH, &[("authorization", &bearer)])
        .await;
    assert_eq!(authorized.text(), HELLO);
}

pub(crate) async fn accounts(reader: &Reader) {
    let listed = reader.shows("micro auth list accounts").await;
    let admin = listed.lines().filter(|line| !line.contains("service"));
    assert_shows(
        &admin.collect::<Vec<_>>().join("\n"),
        "ID Name Scopes Metadata
         admin admin admin n/a",
    );
    let created = reader
        .shows("micro auth create account --scopes=admin jane")
        .await;
    let json = created.strip_prefix("Account created: ").unwrap();
    let account: serde_json::Value = serde_json::from_str(json).unwrap();
    let secret = account["secret"].as_str().unwrap().to_owned();
    assert_shows(
        &created.replace(&secret, "SECRET"),
        r#"Account created: {"id":"jane","type":"","issuer":"micro","metadata":null,"scopes":["admin"],"secret":"SECRET","name":"jane"}"#,
    );
    let input = format!("jane\n{secret}\n");
    let login = reader.server.micro_reading(["login"], &input).await;
    assert_shows(
        &login.success(),
        "Enter username: Enter password: Successfully logged in.",
    );
    assert_shows(&reader.shows("micro user").await, "jane");
    // And out again, in again as before, with the default rule back in its place.
    reader
        .shows("micro login --username=admin --password=micro")
        .await;
    let line = "micro auth create rule --access=granted --resource=\"*:*:*\" default";
    reader.shows(line).await;
    reader.shows("micro auth delete rule onlyloggedin").await;
    reader.shows("micro auth delete rule auth-public").await;
    wait_for("the gateway to heed the rules", || async {
        (reader.server.get(PATH).await.text() == HELLO).then_some(())
    })
    .await;
}
