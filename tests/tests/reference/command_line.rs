//! "Command line" and "Environments".

use micro_tests::assert_shows;

use crate::Reader;

pub(crate) async fn environments(reader: &Reader) {
    assert_shows(
        &reader.shows("micro env").await,
        "* local 127.0.0.1:8081
           dev proxy.m3o.dev
           platform proxy.m3o.com",
    );
    reader.shows("micro env add foobar example.com").await;
    assert_shows(
        &reader.shows("micro env").await,
        "* local 127.0.0.1:8081
           dev proxy.m3o.dev
           platform proxy.m3o.com
           foobar example.com",
    );
    reader.shows("micro env set foobar").await;
    assert_shows(
        &reader.shows("micro env").await,
        "  local 127.0.0.1:8081
           dev proxy.m3o.dev
           platform proxy.m3o.com
         * foobar example.com",
    );
    reader.shows("micro env set local").await;
    reader.shows("micro --help").await;
}

pub(crate) async fn login(reader: &Reader) {
    let login = reader
        .server
        .micro_reading(["login"], "admin\nmicro\n")
        .await;
    assert_shows(
        &login.success(),
        "Enter username: Enter password: Successfully logged in.",
    );
    assert!(reader.server.home().join(".micro/tokens").is_file());
}

pub(crate) async fn dynamic_commands(reader: &Reader) {
    assert_shows(
        &reader.shows("micro helloworld --name=John").await,
        r#"{ "msg": "Hello John" }"#,
    );
    assert_shows(
        &reader.shows("micro registry --help").await,
        "NAME: micro registry VERSION: latest USAGE: micro registry [command]
         COMMANDS: deregister getService listServices register watch",
    );
    assert_shows(
        &reader.shows("micro registry getService --help").await,
        "NAME: micro registry getService USAGE: micro registry getService [flags]
         FLAGS: --service string --options_ttl int64 --options_domain string",
    );
    let line = "micro registry getService --service=helloworld --options_domain=micro";
    let record: serde_json::Value = serde_json::from_str(&reader.shows(line).await).unwrap();
    assert_eq!(record["services"][0]["name"], "helloworld");
}
