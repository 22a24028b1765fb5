//! What stands in a manifest and may be a secret is in nothing that anybody is shown: not where it is
//! in the wrong place, misspelt, of the wrong type or part of a URL either.

use std::{fmt::Write as _, fs};

use micro_tests::{Server, ServerBuilder};

use crate::replace;

/// What must not be seen.
const MARK: &str = "hunter2";

/// Manifests that hold it, each in another way. Nothing listens on port 1.
const MANIFESTS: [&str; 12] = [
    "[broker]\nplugin = \"nats\"\nurl = \"nats://root:hunter2@127.0.0.1:1\"\n",
    "[broker]\nplugin = \"nats\"\nurl = [\"127.0.0.1:1\", \"root:hunter2@127.0.0.1:1\"]\n",
    "[broker]\nplugin = \"nats\"\nurl = { user = \"hunter2\" }\n",
    "[broker]\nplugin = \"nats\"\nurl = \"nats://127.0.0.1:1\"\ntoken = \"hunter2\"\n",
    "[broker]\nplugin = \"nats\"\nurl = \"nats://127.0.0.1:1\"\npasswrod = \"hunter2\"\n",
    "[broker]\nplugin = \"nats\"\ntimeout = \"nats://root:hunter2@a\"\nreplicas = [\"http://hunter2@b\"]\n",
    "[store]\nplugin = \"etcd\"\nendpoints = \"http://root:hunter2@127.0.0.1:1\"\n",
    "[store]\nplugin = \"etcd\"\nendpoints = [\"http://root:hunter2@127.0.0.1:1\"]\n",
    "[store]\nplugin = \"postgres\"\nurl = \"postgres://root:hunter2@127.0.0.1:1/x\"\n",
    "[store]\nplugin = \"postgres\"\nurl = [\"postgres://root:hunter2@127.0.0.1:1/x\"]\n",
    "[store]\nplugin = \"nowhere\"\npassword = \"hunter2\"\nport = 1\n",
    "[store]\nplugin = \"http://root:hunter2@a\"\n[server]\nkeys = \"hunter2\"\n",
];

/// The whole manifest of one of them: also of what is commented out.
fn manifest(text: &str) -> String {
    format!("# see http://root:hunter2@a\nextends = \"test\"\n{text}# password = \"hunter2\"\n")
}

/// What all commands, and the server, have to say of the profile.
async fn said(server: &Server) -> String {
    let mut all = String::new();
    for args in [
        "profile show x",
        "profile show x --output=json",
        "profile show x --resolved",
        "profile show x --resolved --output=json",
        "profile diff test x",
        "profile diff x test --output=json",
        "profile check x",
        "profile check x --output=json",
        "profile reload",
        "profile status",
        "profile status --output=json",
    ] {
        let ran = server.micro(args.split(' ')).await;
        write!(all, "{args}\n{}{}", ran.stdout, ran.stderr).unwrap();
    }
    all + &server.get("/readyz").await.text()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_shows_what_may_be_secret() {
    let builder = ServerBuilder::new("x");
    let path = builder.write(".micro/profiles/x.toml", "extends = \"test\"\n");
    let mut server = builder.start().await;
    server.login().await;
    for text in MANIFESTS {
        replace::with_text(&path, &manifest(text));
        let said = said(&server).await;
        assert!(!said.contains(MARK), "{text}: {said}");
        // Nothing is left out where a mistake is told of.
        assert!(said.contains("x.toml:"), "{text}: {said}");
        let status = server.micro(["profile", "status"]).await.success();
        assert!(
            status.contains("Not as the profile says"),
            "{text}: {status}"
        );
    }
    assert!(server.stop().await.success());
    let log = server.log();
    assert!(log.contains("not swapped") && !log.contains(MARK), "{log}");
}

#[test]
fn a_server_that_does_not_start_says_no_secret() {
    let builder = ServerBuilder::new("x");
    // What is right, and names a backend that is down, may start.
    let wrong = |text: &&str| !text.contains("token") && !text.contains("url = \"postgres");
    for text in MANIFESTS.into_iter().filter(wrong) {
        builder.write(".micro/profiles/x.toml", &manifest(text));
        let ran = builder.fail();
        let all = format!("{}{}", ran.stdout, ran.stderr);
        assert!(!all.contains(MARK), "{text}: {all}");
        assert!(all.contains("x.toml:"), "{text}: {all}");
    }
    // What is no TOML is not quoted either.
    for text in [
        "password = hunter2\n",
        "password = \"hunter2\n",
        "password = [hunter2, x\n",
    ] {
        builder.write(".micro/profiles/x.toml", &format!("[store]\n{text}"));
        let ran = builder.fail();
        let all = format!("{}{}", ran.stdout, ran.stderr);
        assert!(
            all.contains("x.toml:2") && !all.contains(MARK),
            "{text}: {all}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_and_a_reload_say_the_same() {
    let builder = ServerBuilder::new("x");
    let path = builder.write(".micro/profiles/x.toml", "extends = \"test\"\n");
    let server = builder.start().await;
    server.login().await;
    let wrong = "[broker]\nplugin = \"nats\"\ntimeout = \"long\"\ncolour = 1\n";
    fs::write(&path, format!("extends = \"test\"\n{wrong}")).unwrap();
    let check = server.micro(["profile", "check", "x"]).await;
    let reload = server.micro(["profile", "reload"]).await;
    for problem in [
        "x.toml:4: broker.timeout: must be an integer, not a string",
        "x.toml:5: broker.colour: unknown setting; there are ",
    ] {
        assert!(check.stderr.contains(problem), "{problem}: {check:?}");
        assert!(reload.stdout.contains(problem), "{problem}: {reload:?}");
    }
}
