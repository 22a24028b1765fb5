//! What a user sees when a store is refused, through the real binary: the reason in three places, and
//! the two ways out.

use std::{fs, path::PathBuf};

use micro_tests::{Server, ServerBuilder, wait_for};

/// A profile of the user's own that shadows nothing, over `local`, with this store.
fn profile(builder: &ServerBuilder, store: &str) -> PathBuf {
    builder.write(
        ".micro/profiles/x.toml",
        &format!("extends = \"local\"\n\n[store]\nplugin = \"{store}\"\n"),
    )
}

/// Names another store in the profile of a server that runs.
fn choose(server: &Server, store: &str) {
    let path = server.home().join(".micro/profiles/x.toml");
    let text = fs::read_to_string(&path).unwrap();
    let text = text.replace("\"file\"", &format!("{store:?}"));
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

/// A server with an account and a record in its files, whose profile has come to name another store.
async fn refused() -> Server {
    let builder = ServerBuilder::new("x");
    profile(&builder, "file");
    let server = builder.start().await;
    server.login().await;
    let args = ["auth", "create", "account", "--secret=mine", "jane"];
    server.micro(args).await.success();
    server
        .micro(["store", "write", "key", "value"])
        .await
        .success();
    choose(&server, "memory");
    wait_for("the warning", || async {
        let answer = server.get("/readyz").await;
        answer.text().contains("--copy").then_some(())
    })
    .await;
    server
}

/// Each of the places that say why tells the line, the reason, and both ways out.
fn check(text: &str) {
    for part in [
        ".micro/profiles/x.toml:4: store: ",
        "does not hold this platform's id and accounts",
        "`micro profile reload --copy`",
        "a restart of the server",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

async fn has_its_records(server: &Server) -> bool {
    let read = server.micro(["store", "read", "key"]).await;
    let jane = ["login", "--username=jane", "--password=mine"];
    let known = server.micro(jane).await.code == Some(0);
    server.login().await;
    known && read.stdout.contains("value")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_of_strangers_is_refused_until_it_is_copied_into() {
    let mut server = refused().await;
    let ready = server.get("/readyz").await;
    assert!(ready.status.is_success(), "what serves serves on");
    check(&ready.text());
    check(&server.log());
    check(&server.micro(["profile", "status"]).await.success());
    let reload = server.micro(["profile", "reload"]).await;
    assert_eq!(reload.code, Some(1), "{reload:?}");
    check(&format!("{}{}", reload.stdout, reload.stderr));
    assert!(has_its_records(&server).await);

    let copied = server.micro(["profile", "reload", "--copy"]).await;
    for part in [
        "copied    micro (",
        "verified  micro (",
        "verified  $platform (",
    ] {
        assert!(copied.stderr.contains(part), "{copied:?}");
    }
    assert_eq!(copied.success(), "store: file -> memory\n");
    assert!(has_its_records(&server).await);
    let status = server.micro(["profile", "status"]).await.success();
    assert!(!status.contains("Not as the profile says"), "{status}");
    assert!(!server.get("/readyz").await.text().contains("--copy"));
    assert!(server.stop().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_begins_with_what_the_other_store_holds() {
    let server = refused().await;
    let server = server.stopped().await.start().await;
    server.login().await;
    assert!(!has_its_records(&server).await);
    let status = server.micro(["profile", "status"]).await.success();
    assert!(!status.contains("Not as the profile says"), "{status}");
}
