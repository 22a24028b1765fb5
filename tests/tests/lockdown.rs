//! The reference page's "lock down" and "accounts" stories as transcripts of the real binary, and
//! that a rule holds at every door.

use anyhow::Result;
use http::Request;
use micro_proto::auth::{InspectRequest, auth_client::AuthClient};
use micro_tests::{Answer, Server, assert_shows, example, fetch, profile, wait_for};
use serde_json::Value;
use tonic::{Code, transport::Channel};

#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    reason = "generated"
)]
mod pb {
    tonic::include_proto!("helloworld");
}
use pb::helloworld_client::HelloworldClient;

/// What the reference page shows a stranger.
const LOCKED: &str = r#"{"Id":"helloworld","Code":401,"Detail":"Unauthorized call made to helloworld:Helloworld.Call","Status":"Unauthorized"}"#;

/// `curl` with a token.
async fn curl(server: &Server, path: &str, token: &str) -> Result<Answer> {
    let request = Request::get(format!("http://{}{path}", server.api()))
        .header("authorization", format!("Bearer {token}"))
        .body("")?;
    fetch(request).await
}

/// A stranger's call of helloworld at a gRPC door.
async fn stranger(channel: &Channel) -> Result<String, tonic::Status> {
    let mut client = HelloworldClient::new(channel.clone());
    let request = pb::Request { name: "Sue".into() };
    Ok(client.call(request).await?.into_inner().msg)
}

#[tokio::test]
async fn lock_down_helloworld() -> Result<()> {
    let mut server = Server::start(&profile()).await;
    let micro = async |args: &[&str]| server.micro(args.iter().copied()).await;
    server.login().await;
    assert_eq!(
        micro(&["auth", "list", "rules"]).await.success(),
        "ID\t\tScope\t\t\tAccess\t\tResource\t\tPriority\n\
         default\t\t<public>\t\tGRANTED\t\t*:*:*\t\t\t0\n"
    );
    server.run_example("helloworld").await.success();
    let alice = server.get("/helloworld/call?name=Alice").await;
    assert_eq!(alice.text(), r#"{"msg":"Hello Alice"}"#);
    let mut doors = Vec::new();
    for address in [server.proxy(), server.network()] {
        let door = Channel::from_shared(format!("http://{address}"))?;
        doors.push(door.connect().await?);
    }
    for door in &doors {
        assert_eq!(stranger(door).await?, "Hello Sue");
    }

    for rule in [
        &[
            "--access=granted",
            "--scope=*",
            "--resource=*:*:*",
            "onlyloggedin",
        ][..],
        &[
            "--access=granted",
            "--resource=service:auth:*",
            "auth-public",
        ],
    ] {
        let args: Vec<_> = ["auth", "create", "rule"]
            .iter()
            .chain(rule)
            .copied()
            .collect();
        assert_eq!(micro(&args).await.success(), "Rule created\n");
    }
    assert_shows(
        &micro(&["auth", "list", "rules"]).await.success(),
        "ID Scope Access Resource Priority
         auth-public <public> GRANTED service:auth:* 0
         onlyloggedin * GRANTED *:*:* 0
         default <public> GRANTED *:*:* 0",
    );
    assert_eq!(
        micro(&["auth", "delete", "rule", "default"])
            .await
            .success(),
        "Rule deleted\n"
    );

    // At every door, for a service of ours and one of the platform's.
    wait_for("the gateway to lock helloworld", || async {
        let answer = server.get("/helloworld/call?name=Alice").await;
        (answer.status == 401).then_some(answer.text())
    })
    .await;
    let locked = server.get("/helloworld/call?name=Alice").await;
    assert_eq!(locked.text(), LOCKED);
    let listed = server.get("/registry/listServices").await;
    assert_eq!(listed.status, 401);
    for door in &doors {
        let refused = stranger(door).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
        let said: Value = serde_json::from_str(refused.message())?;
        assert_eq!(
            said["detail"],
            "Unauthorized call made to helloworld:Helloworld.Call"
        );
        // What auth-public opens is open: the call gets to its handler.
        let inspect = InspectRequest::default();
        let opened = AuthClient::new(door.clone()).inspect(inspect).await;
        assert_eq!(opened.unwrap_err().code(), Code::InvalidArgument);
    }

    // Who is logged in goes on, and one can log in.
    let token = micro(&["user", "token"]).await.success();
    let alice = curl(&server, "/helloworld/call?name=Alice", token.trim()).await?;
    assert_eq!(alice.text(), r#"{"msg":"Hello Alice"}"#);
    assert_shows(
        &micro(&["helloworld", "--name=Alice"]).await.success(),
        r#"{ "msg": "Hello Alice" }"#,
    );
    micro(&["logout"]).await.success();
    let refused = micro(&["helloworld", "--name=Alice"]).await;
    assert_eq!(refused.code, Some(2), "{refused:?}");
    server.login().await;

    // A service starts, registers itself and is found healthy; its account is its pass.
    server
        .run_source([example("helloworld"), "--name=second".to_owned()])
        .await
        .success();
    assert_shows(
        &micro(&["second", "--name=Bob"]).await.success(),
        r#"{ "msg": "Hello Bob" }"#,
    );
    assert_eq!(
        server.get("/second/call").await.json()?["Detail"],
        "Unauthorized call made to second:Second.Call"
    );

    // A rule of higher priority opens one service again, to everybody, at every door.
    let open = ["auth", "create", "rule", "--priority=1"];
    let open = [&open[..], &["--resource=service:helloworld:*", "open"]].concat();
    assert_eq!(micro(&open).await.success(), "Rule created\n");
    wait_for("the gateway to open helloworld", || async {
        let answer = server.get("/helloworld/call?name=Alice").await;
        (answer.status == 200).then_some(())
    })
    .await;
    for door in &doors {
        assert_eq!(stranger(door).await?, "Hello Sue");
    }
    assert_eq!(server.get("/second/call").await.status, 401);
    drop(doors);
    assert!(server.stop().await.success());
    Ok(())
}

#[tokio::test]
async fn accounts_for_teammates() -> Result<()> {
    let mut server = Server::start(&profile()).await;
    let micro = async |args: &[&str]| server.micro(args.iter().copied()).await;
    let denied = micro(&["auth", "list", "accounts"]).await;
    assert_eq!(denied.code, Some(2));
    assert_shows(
        &denied.stderr,
        "Not authorized to perform this request hint: log in with `micro login`",
    );
    server.login().await;
    assert_shows(
        &micro(&["auth", "list", "accounts"]).await.success(),
        "ID Name Scopes Metadata
         admin admin admin n/a",
    );
    let created = micro(&["auth", "create", "account", "--scopes=admin", "jane"]).await;
    let created = created.success();
    let json = created.strip_prefix("Account created: ").expect(&created);
    let json = json.strip_suffix('\n').expect("one line");
    let account: Value = serde_json::from_str(json)?;
    let secret = account["secret"].as_str().expect("a secret").to_owned();
    assert_eq!(
        json,
        format!(
            r#"{{"id":"jane","type":"","issuer":"micro","metadata":null,"scopes":["admin"],"secret":"{secret}","name":"jane"}}"#
        )
    );
    let again = micro(&["auth", "create", "account", "jane"]).await;
    assert_eq!(
        (again.code, again.stderr.as_str()),
        (
            Some(1),
            "Error creating account: Account with this ID already exists\n"
        )
    );

    let password = format!("--password={secret}");
    assert_eq!(
        micro(&["login", "--username=jane", &password])
            .await
            .success(),
        "Successfully logged in.\n"
    );
    assert_eq!(micro(&["user"]).await.success(), "jane\n");

    // A secret is changed by who knows it, and by nobody who does not.
    let wrong = micro(&[
        "user",
        "set",
        "password",
        "--old-password=bad",
        "--new-password=x",
    ])
    .await;
    assert_eq!(wrong.code, Some(1), "{wrong:?}");
    assert_eq!(
        micro(&["login", "--username=jane", &password]).await.code,
        Some(0)
    );
    let updated = micro(&["auth", "update", "secret", "--new_secret=n3w", "jane"]).await;
    assert_eq!(updated.success(), "Account updated\n");
    let old = micro(&["login", "--username=jane", &password]).await;
    assert_eq!(
        (old.code, old.stderr.as_str()),
        (Some(1), "Secret not correct\n")
    );
    micro(&["login", "--username=jane", "--password=n3w"])
        .await
        .success();

    let own = micro(&["auth", "delete", "account", "jane"]).await;
    assert_eq!(
        (own.code, own.stderr.as_str()),
        (
            Some(1),
            "Error deleting account: Can't delete your own account\n"
        )
    );
    server.login().await;
    assert_eq!(
        micro(&["auth", "delete", "account", "jane"])
            .await
            .success(),
        ""
    );
    let gone = micro(&["login", "--username=jane", "--password=n3w"]).await;
    assert_eq!(gone.stderr, "Account not found with this ID\n");
    assert!(server.stop().await.success());
    Ok(())
}

#[tokio::test]
async fn what_the_auth_commands_refuse() -> Result<()> {
    let mut server = Server::start(&profile()).await;
    server.login().await;
    let refused: [(&[&str], &str); 10] = [
        (
            &["create", "rule", "--resource=service:x", "r"],
            "Invalid resource, must be in the format type:name:endpoint",
        ),
        (
            &["create", "rule", "--access=maybe", "--resource=a:b:c", "r"],
            "Invalid access: maybe, must be granted or denied",
        ),
        (
            &["create", "rule"],
            "Too many arguments, expected one argument: ID",
        ),
        (
            &["create", "rule", "--resource=a:b:c", "r", "s"],
            "Too many arguments, expected one argument: ID",
        ),
        (
            &["create", "rule", "--resource=*:*:*", "default"],
            "Error: A rule with this ID already exists",
        ),
        (&["delete", "rule"], "Expected one argument: ID"),
        (&["create", "account"], "Missing argument: ID"),
        (&["delete", "account"], "Missing argument: ID"),
        (&["update", "secret"], "Missing argument: ID"),
        (
            &["frobnicate"],
            "Unrecognized subcommand for micro auth: frobnicate. Please refer to 'micro auth --help'",
        ),
    ];
    for (args, message) in refused {
        let args: Vec<_> = ["auth"].iter().chain(args).copied().collect();
        let ran = server.micro(args.iter().copied()).await;
        assert_eq!(
            (ran.code, ran.stderr.lines().next(), ran.stdout.as_str()),
            (Some(1), Some(message), ""),
            "{args:?}"
        );
    }
    let deleted = server.micro(["auth", "delete", "rule", "nosuch"]).await;
    assert_eq!(deleted.success(), "Rule deleted\n");
    // Once more than there is room for in one word: the message stays short.
    let long = "x".repeat(5000);
    let long = server
        .micro(["auth", "create", "rule", "--resource=*:*:*", &long])
        .await;
    assert_eq!(long.code, Some(1));
    assert!(long.stderr.len() < 300, "{}", long.stderr);
    for help in [&["auth"][..], &["auth", "create", "--help"]] {
        let help = server.micro(help.iter().copied()).await.success();
        assert!(help.contains("micro auth"), "{help}");
    }
    assert!(server.stop().await.success());
    Ok(())
}
