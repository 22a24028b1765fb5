//! "API".

use crate::Reader;

pub(crate) async fn calls(reader: &Reader) {
    let server = &reader.server;
    assert_eq!(
        server.get("/").await.text(),
        r#"{"version": "v3.0.0-beta"}"#
    );
    let listed = server.get("/registry/listServices").await.json().unwrap();
    let services = listed["services"].as_array().unwrap();
    assert!(services.iter().any(|one| one["name"] == "helloworld"));

    let hello = r#"{"msg":"Hello Joe"}"#;
    let path = "/helloworld/call?name=Joe";
    assert_eq!(server.get(path).await.text(), hello);
    let posted = server.post("/helloworld/call", r#"{"name":"Joe"}"#).await;
    assert_eq!(posted.text(), hello);
    let elsewhere = server
        .get_with(path, &[("micro-namespace", "foobar")])
        .await;
    assert_eq!(elsewhere.status, 404, "helloworld does not run there");
    let token = reader.shows("micro user token").await;
    let bearer = format!("Bearer {}", token.trim());
    let authorized = server.get_with(path, &[("authorization", &bearer)]).await;
    assert_eq!(authorized.text(), hello);
}
