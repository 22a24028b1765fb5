//! The commands that talk to a server, against one whose answers the tests choose: what is sent, and what is made of it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{fs, os::unix::fs::PermissionsExt as _, process::ExitCode};

use common::{Platform, Step};
use micro_proto::{registry, runtime};
use serde_json::json;

fn field(name: &str, kind: &str) -> registry::Value {
    registry::Value {
        name: name.into(),
        r#type: kind.into(),
        values: vec![],
    }
}

#[test]
fn a_dynamic_command_is_one_connection_and_two_lookups_at_once() {
    // The lookups wait for each other: one after the other would never end.
    let platform = Platform::start(|answers| answers.lookups_meet = true);
    platform.terminal.run(&["user", "namespace", "set", "foo"]);
    let done = platform.run(&["registry2", "getService", "--service=x", "--options_ttl=5"]);
    assert_eq!(
        (done.err.as_str(), done.code),
        ("", ExitCode::SUCCESS),
        "{}",
        done.out
    );
    let seen = platform.seen();
    assert_eq!(seen.connections, 1);
    let calls: Vec<(&str, &str, bool)> = seen
        .calls
        .iter()
        .map(|call| {
            (
                call.path.as_str(),
                call.namespace.as_str(),
                call.authorization.is_some(),
            )
        })
        .collect();
    // Logged out: nobody's authorization is sent.
    assert_eq!(
        calls,
        [
            ("/registry.Registry/GetService", "foo", false),
            ("/registry.Registry/GetService", "foo", false),
            ("/registry2.Registry/GetService", "micro", false),
        ]
    );
    assert_eq!(seen.calls[2].content_type, "application/grpc+json");
    assert_eq!(
        seen.lookups.last().unwrap().options.as_ref().unwrap().ttl,
        5
    );
    let printed: serde_json::Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(printed["services"][0]["name"], "x");
    assert!(done.out.starts_with("{\n\t\"services\": [\n\t\t{\n"));
}

#[test]
fn login_saves_a_token_that_is_sent_and_renewed() {
    let platform = Platform::start(|answers| answers.token_seconds = 600);
    let done = platform.run(&["login", "--username=admin", "--password=wrong"]);
    assert_eq!(
        (done.err.as_str(), done.code),
        ("Secret not correct\n", ExitCode::from(1))
    );
    let done = platform.run(&["login", "--username=admin", "--password=micro"]);
    assert_eq!(
        (done.out.as_str(), done.err.as_str()),
        ("Successfully logged in.\n", "")
    );
    assert_eq!(platform.run(&["user"]).out, "admin\n");
    // Who mistypes stays who they were.
    let done = platform.run(&["login", "--username=admin", "--password=wrong"]);
    assert_eq!(done.code, ExitCode::from(1));
    assert_eq!(platform.run(&["user", "token"]).out, "token-2\n");
    platform.run(&["services"]);
    let sent = platform.seen().calls.last().unwrap().authorization.clone();
    assert_eq!(sent.as_deref(), Some("Bearer token-2"));
    // A namespace chosen for one call does not log anybody out.
    platform.run(&["--namespace=foo", "services"]);
    let last = platform.seen().calls.last().unwrap().clone();
    assert_eq!(last.namespace, "foo");
    assert_eq!(last.authorization.as_deref(), Some("Bearer token-2"));
    assert_eq!(platform.run(&["logout"]).code, ExitCode::SUCCESS);
    platform.run(&["services"]);
    assert_eq!(platform.seen().calls.last().unwrap().authorization, None);
}

#[test]
fn a_token_that_ends_soon_is_renewed_first() {
    let platform = Platform::start(|answers| answers.token_seconds = 30);
    platform.run(&["login", "--username=admin", "--password=micro"]);
    platform.run(&["services"]);
    let sent = platform.seen().calls.last().unwrap().authorization.clone();
    assert_eq!(sent.as_deref(), Some("Bearer token-2"));
    assert_eq!(
        platform.seen().connections,
        2,
        "login, and one for both calls"
    );

    let gone = Platform::start(|answers| {
        answers.token_seconds = -5;
        answers.refuse_refresh = true;
    });
    gone.run(&["login", "--username=admin", "--password=micro"]);
    assert_eq!(gone.run(&["services"]).code, ExitCode::SUCCESS);
    assert_eq!(gone.seen().calls.last().unwrap().authorization, None);
    assert!(gone.run(&["user"]).err.starts_with("Not logged in\n"));
}

#[test]
fn an_endpoint_that_streams_prints_each_message() {
    let platform = Platform::start(|answers| {
        answers.service = registry::Service {
            name: "runtime2".into(),
            version: "latest".into(),
            endpoints: vec![registry::Endpoint {
                name: "Runtime.Logs".into(),
                request: Some(field("Context", "Context")),
                metadata: [("stream".to_owned(), "true".to_owned())].into(),
                ..registry::Endpoint::default()
            }],
            ..registry::Service::default()
        };
    });
    let done = platform.run(&["runtime2", "runtime", "logs", "--count=2", "--service=x"]);
    assert_eq!(done.err, "");
    let messages: Vec<serde_json::Value> = serde_json::Deserializer::from_str(&done.out)
        .into_iter()
        .map(|message| message.unwrap())
        .collect();
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[1]["message"], "line 2 of x");
    assert!(done.out.ends_with("}\n"));
}

#[test]
fn errors_become_messages_and_codes() {
    let platform = Platform::start(|_| {});
    let check = |words: &[&str], code: u8, message: &str| {
        let done = platform.run(words);
        assert_eq!(
            (done.out.as_str(), done.err.lines().next(), done.code),
            ("", Some(message), ExitCode::from(code)),
            "{words:?}"
        );
    };
    check(
        &["nosuch"],
        1,
        "Unrecognized micro command: nosuch. Please refer to 'micro --help'",
    );
    check(
        &["registry2", "nosuch"],
        128,
        "Endpoint Registry2.Nosuch not found for service registry2",
    );
    check(
        &["registry2", "getService", "--nosuch=1"],
        128,
        "Unknown flag: nosuch",
    );
    check(
        &["registry2", "getService", "--service"],
        128,
        "--service needs a value",
    );
    check(&["status"], 2, "Not authorized to perform this request");
    check(&["kill", "nosuch"], 127, "not found");
    check(&["logs", "nosuch"], 1, "Service not found");
    check(
        &["call", "nosuch", "X.Y", "{}"],
        4,
        "Service \"nosuch\" not found",
    );
    check(
        &["call", "registry", "Registry.Nosuch", "{}"],
        5,
        "Service method \"Registry.Nosuch\" not found",
    );
    check(
        &["call", "registry", "Nosuch.Call", "{}"],
        5,
        "Service \"Nosuch\" not found",
    );
    check(
        &[
            "call",
            "--request_timeout=50ms",
            "registry",
            "Registry.Watch",
            "{}",
        ],
        1,
        "Request timed out",
    );
}

#[test]
fn call_prints_json_or_the_bytes_as_they_came() {
    let platform = Platform::start(|_| {});
    let call = |more: &[&str]| {
        let mut words = vec!["call", "registry", "Registry.GetService"];
        words.extend(more);
        platform.run(&words)
    };
    let request = json!({"service": "x"}).to_string();
    let done = call(&[&request, "--metadata=Foobar=1"]);
    assert!(done.out.starts_with("{\n\t\"services\""), "{}", done.out);
    assert_eq!(
        platform.seen().calls.last().unwrap().foobar.as_deref(),
        Some("1")
    );
    let raw = call(&[&request, "--output", "raw"]);
    assert!(raw.out.starts_with("{\"services\":[{"), "{}", raw.out);
    assert!(raw.out.ends_with("}\n"));
}

#[test]
fn run_follows_the_service_until_it_answers_or_fails() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("greet.sh");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let script = script.to_str().unwrap().to_owned();
    let run = |steps: Vec<Step>, more: &[&str]| {
        let platform = Platform::start(move |answers| answers.steps = steps);
        let mut words = vec!["run", &script];
        words.extend(more);
        let done = platform.run(&words);
        (platform, done)
    };

    let steps = vec![
        Step::Status(1),
        Step::Status(2),
        Step::Line("Compiling"),
        Step::Status(3),
        Step::Status(4),
    ];
    let (platform, done) = run(
        steps,
        &["--env_vars=A=1,B=2", "--metadata=team=x", "--force"],
    );
    assert_eq!((done.out.as_str(), done.code), ("", ExitCode::SUCCESS));
    for said in [
        "1 file, 10 bytes",
        "greet: building",
        "Compiling",
        "greet: running",
    ] {
        assert!(done.err.contains(said), "{}", done.err);
    }
    let seen = platform.seen();
    let created: &runtime::CreateRequest = &seen.created[0];
    let service = created.resource.as_ref().unwrap().service.as_ref().unwrap();
    assert_eq!(service.name, "greet");
    assert_eq!(service.version, "latest");
    assert_eq!(service.source, "source://greet:latest");
    assert_eq!(service.metadata["team"], "x");
    assert!(service.metadata["source"].ends_with("greet.sh"));
    let options = created.options.as_ref().unwrap();
    assert_eq!(options.env, ["A=1", "B=2"]);
    assert!(options.force);
    assert_eq!(options.namespace, "micro");
    // A tar archive: blocks of 512 bytes, the name first.
    assert_eq!(seen.uploaded.len() % 512, 0);
    assert!(seen.uploaded.starts_with(b"greet.sh\0"));

    let steps = vec![
        Step::Status(2),
        Step::Line("error[E0425]"),
        Step::Fails("the build failed"),
    ];
    let (_platform, done) = run(steps, &[]);
    assert_eq!((done.out.as_str(), done.code), ("", ExitCode::from(1)));
    assert!(
        done.err
            .contains("error[E0425]\ngreet: error\ngreet does not run: the build failed\nhint: what the build printed is above"),
        "{}",
        done.err
    );
    assert_eq!(done.err.matches("error[E0425]").count(), 1);

    let (_platform, done) = run(vec![Step::Status(3), Step::Hang], &["--timeout=50ms"]);
    assert_eq!(done.code, ExitCode::from(1));
    assert!(
        done.err
            .contains("greet did not answer its health check within 50ms"),
        "{}",
        done.err
    );

    let (_platform, done) = run(vec![Step::Status(2)], &[]);
    assert!(
        done.err
            .contains("The server stopped telling about greet while it was building"),
        "{}",
        done.err
    );
}
