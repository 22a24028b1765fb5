//! Transcripts of the command line against a real server: the sections "Config", "Env", "User" and "Store" of the
//! reference page, and what their commands say when they refuse.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::Result;
use micro_tests::{Ran, Server, ServerBuilder, assert_shows, profile, wait_for};

/// Types a line: words, and words in single quotes.
async fn micro(server: &Server, line: &str) -> Ran {
    server.micro(words(line)).await
}

fn words(line: &str) -> Vec<String> {
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let mut quoted = false;
    for letter in line.chars() {
        match letter {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// Types the lines behind `$ micro`, and compares what each prints with what stands below it, but for indentation.
async fn transcript(server: &Server, text: &str) {
    let mut lines = text.lines().map(str::trim_start).peekable();
    while let Some(line) = lines.next() {
        let Some(typed) = line.strip_prefix("$ micro ") else {
            assert!(line.is_empty(), "not a line of a transcript: {line}");
            continue;
        };
        let mut expected = String::new();
        while let Some(shown) = lines.next_if(|next| !next.starts_with('$') && !next.is_empty()) {
            expected.push_str(shown);
            expected.push('\n');
        }
        let ran = micro(server, typed).await;
        let shown = ran.stdout.lines();
        let shown: String = shown
            .map(|line| format!("{}\n", line.trim_start()))
            .collect();
        assert_eq!(
            (ran.code, shown.as_str(), ran.stderr.as_str()),
            (Some(0), expected.as_str(), ""),
            "$ micro {typed}"
        );
    }
}

/// The command ends with this code, and its stderr begins with this line.
async fn fails(server: &Server, line: &str, code: i32, message: &str) {
    let ran = micro(server, line).await;
    let first = ran.stderr.lines().next().unwrap_or_default();
    assert_eq!(
        (ran.code, ran.stdout.as_str(), first),
        (Some(code), "", message),
        "$ micro {line}"
    );
}

#[tokio::test]
async fn the_config_section_of_the_reference_page() -> Result<()> {
    let mut server = Server::start(&profile()).await;
    fails(
        &server,
        "config get a",
        2,
        "Not authorized to perform this request",
    )
    .await;
    server.login().await;
    transcript(
        &server,
        r#"
        $ micro config set helloworld.somekey hello
        $ micro config get helloworld.somekey
        hello
        $ micro config set helloworld.someotherkey 'Hi there!'
        $ micro config get helloworld
        {"somekey":"hello","someotherkey":"Hi there!"}
        $ micro config set helloworld.someboolkey true
        $ micro config get helloworld.someboolkey
        true
        $ micro config get helloworld
        {"someboolkey":true,"somekey":"hello","someotherkey":"Hi there!"}
        $ micro config set helloworld.keywithsubs.subkey1 'So easy!'
        $ micro config get helloworld
        {"keywithsubs":{"subkey1":"So easy!"},"someboolkey":true,"somekey":"hello","someotherkey":"Hi there!"}
        $ micro config del helloworld.someotherkey
        $ micro config get helloworld
        {"keywithsubs":{"subkey1":"So easy!"},"someboolkey":true,"somekey":"hello"}
        $ micro config del helloworld.keywithsubs
        $ micro config get helloworld
        {"someboolkey":true,"somekey":"hello"}
        $ micro config set --secret helloworld.hushkey 'Very secret stuff'
        $ micro config get helloworld.hushkey
        [secret]
        $ micro config get --secret helloworld.hushkey
        Very secret stuff
        $ micro config get helloworld
        {"hushkey":"[secret]","someboolkey":true,"somekey":"hello"}
        $ micro config get --secret helloworld
        {"hushkey":"Very secret stuff","someboolkey":true,"somekey":"hello"}
        $ micro config set --secret helloworld.hush_number_key 42
        $ micro config get helloworld
        {"hush_number_key":"[secret]","hushkey":"[secret]","someboolkey":true,"somekey":"hello"}
        $ micro config get --secret helloworld
        {"hush_number_key":42,"hushkey":"Very secret stuff","someboolkey":true,"somekey":"hello"}
        $ micro config set helloworld '{"a": "val1", "b": "val2"}'
        $ micro config get helloworld.a
        val1
        $ micro config del helloworld
        $ micro config set helloworld '{"a":1}'
        $ micro config get helloworld
        {"a":1}
        $ micro config set helloworld '{"b":2}'
        $ micro config get helloworld
        {"a":1,"b":2}

        $ micro config set q 'a"b'
        $ micro config get q
        a"b
        $ micro config set x 1.50
        $ micro config get x
        1.5
        $ micro config set list [1,2]
        $ micro config get list
        [1,2]
        $ micro config set signs 'Value with <> signs'
        $ micro config get signs
        Value with <> signs
        $ micro config get -s q
        a"b
        "#,
    )
    .await;
    fails(&server, "config get nosuch", 1, "Not found").await;
    fails(&server, "config set '' x", 1, "key required").await;
    let asked = server
        .micro_reading(["config", "set", "--secret", "key"], "two\nlines\n")
        .await;
    assert_shows(&asked.success(), "");
    transcript(
        &server,
        "
        $ micro config get key
        [secret]
        $ micro config get --secret key
        two
        lines
        ",
    )
    .await;
    let into = micro(&server, "config set x.y 9").await;
    assert_ne!(into.code, Some(0));
    assert!(into.stderr.contains('x'), "{}", into.stderr);
    assert!(server.stop().await.success());
    Ok(())
}

#[tokio::test]
async fn the_env_and_user_sections_of_the_reference_page() -> Result<()> {
    let mut server = Server::start(&profile()).await;
    transcript(
        &server,
        "
        $ micro env
        * local      127.0.0.1:8081
        dev        proxy.m3o.dev
        platform   proxy.m3o.com
        $ micro env add foobar example.com
        $ micro env
        * local      127.0.0.1:8081
        dev        proxy.m3o.dev
        platform   proxy.m3o.com
        foobar     example.com
        ",
    )
    .await;
    // A command that needs a server would not find one there.
    transcript(
        &server,
        "
        $ micro env set foobar
        $ micro env get
        foobar
        $ micro env set local
        $ micro env del foobar
        ",
    )
    .await;
    fails(
        &server,
        "env set foobar",
        128,
        "Environment 'foobar' does not exist",
    )
    .await;

    fails(&server, "user", 1, "Not logged in").await;
    server.login().await;
    transcript(
        &server,
        "
        $ micro user
        admin
        $ micro user config
        user: admin
        namespace: n/a
        environment: local
        git.credentials: n/a
        git.baseurl: n/a
        ",
    )
    .await;
    // Who mistypes a password stays who they were.
    let wrong = micro(&server, "login --username=admin --password=wrong").await;
    assert_eq!(
        (wrong.code, wrong.stderr.as_str()),
        (Some(1), "Secret not correct\n")
    );
    assert_eq!(micro(&server, "user").await.success(), "admin\n");

    let old = "user set password --old-password=bad --new-password=x";
    fails(&server, old, 1, "Secret not correct").await;
    let changed = server
        .micro_reading(["user", "set", "password"], "micro\nnew\nother\nnew\nnew\n")
        .await;
    assert_eq!(
        (changed.code, changed.stderr.as_str()),
        (Some(0), "Passwords do not match. Please try again.\n")
    );
    let again = micro(&server, "login --username=admin --password=micro").await;
    assert_eq!(again.code, Some(1));
    let again = micro(&server, "login --username=admin --password=new").await;
    assert_eq!(again.success(), "Successfully logged in.\n");

    let token = micro(&server, "user token").await.success();
    assert_eq!(token.trim().split('.').count(), 3, "{token}");
    transcript(
        &server,
        "
        $ micro logout
        $ micro logout
        ",
    )
    .await;
    fails(&server, "user token", 1, "Not logged in").await;
    assert!(server.stop().await.success());
    Ok(())
}

#[tokio::test]
async fn records_are_written_read_listed_and_deleted() -> Result<()> {
    let mut server = Server::start(&profile()).await;
    fails(
        &server,
        "store list",
        2,
        "Not authorized to perform this request",
    )
    .await;
    server.login().await;
    transcript(
        &server,
        r#"
        $ micro store list
        $ micro store write id1 '{"id":"id1", "name":"Jane"}'
        $ micro store write secondGrade/id2 Alice
        $ micro store write secondGrade/id3 Joe Bloggs
        $ micro store write firstGrade/id1 Jane
        $ micro store read id1
        {"id":"id1", "name":"Jane"}
        $ micro store read --prefix secondGrade
        Alice
        Joe Bloggs
        $ micro store read --prefix --order=desc secondGrade
        Joe Bloggs
        Alice
        $ micro store read -p -l 1 secondGrade
        Alice
        $ micro store read -p --offset 1 secondGrade
        Joe Bloggs
        $ micro store read --suffix /id1
        Jane
        $ micro store list
        firstGrade/id1
        id1
        secondGrade/id2
        secondGrade/id3
        $ micro store list --offset 1 --limit 2
        id1
        secondGrade/id2
        $ micro store list --order=desc --limit=1
        secondGrade/id3
        $ micro store list --prefix second
        secondGrade/id2
        secondGrade/id3
        $ micro store delete secondGrade/id2
        $ micro store delete secondGrade/id2
        $ micro store list --prefix secondGrade
        secondGrade/id3
        "#,
    )
    .await;
    assert_eq!(
        micro(&server, "store read --output=json secondGrade/id3")
            .await
            .success(),
        "[\n  {\n    \"key\": \"secondGrade/id3\",\n    \"value\": \"Sm9lIEJsb2dncw==\",\n    \
         \"metadata\": {},\n    \"expiry\": 0\n  }\n]\n"
    );
    fails(&server, "store read nosuch", 1, "Not found").await;

    // Another table, another database, and what there is of both.
    transcript(
        &server,
        "
        $ micro store write --table=users --database=school jane 1
        $ micro store read -t users -d school jane
        1
        $ micro store tables --database=school
        users
        $ micro store list --table=users
        $ micro store tables
        micro
        $ micro store databases
        micro
        school
        ",
    )
    .await;
    micro(&server, "store write --expiry=1h brief x")
        .await
        .success();
    assert_shows(
        &micro(&server, "store read -v brief").await.success(),
        "KEY VALUE EXPIRY brief x … minutes from now",
    );
    assert_eq!(
        micro(&server, "store read -v id1").await.success(),
        "KEY   VALUE                         EXPIRY\nid1   {\"id\":\"id1\", \"name\":\"Jane\"}   None\n"
    );
    assert!(server.stop().await.success());
    Ok(())
}

#[tokio::test]
async fn a_service_is_described_and_asked_how_it_is() -> Result<()> {
    let mut server = Server::start(&profile()).await;
    server.login().await;
    server.run_example("helloworld").await.success();
    let shown = micro(&server, "get service helloworld").await.success();
    assert_shows(
        &shown,
        "service helloworld version latest
         ID Address Metadata
         helloworld-… 127.0.0.1:… broker=service,domain=micro,protocol=grpc,registry=service,server=grpc,transport=grpc
         Endpoint: Helloworld.Call Request: { name string } Response: { msg string }
         Endpoint: Helloworld.Stream Metadata: stream=true Request: { count int64 } Response: { count int64 }
         Endpoint: Helloworld.PingPong Metadata: stream=true Request: { stroke int64 } Response: { stroke int64 }",
    );
    assert_shows(
        &micro(&server, "health helloworld").await.success(),
        "service helloworld version latest node address:port status helloworld-… 127.0.0.1:… ok",
    );
    assert_shows(
        &micro(&server, "health store").await.success(),
        "service store version latest node address:port status store-… 127.0.0.1:… ok",
    );
    let stats = micro(&server, "stats helloworld store").await.success();
    assert_shows(
        &stats,
        "SERVICE helloworld VERSION latest
         NODE ADDRESS:PORT STARTED UPTIME MEMORY THREADS GC
         helloworld-… 127.0.0.1:… … … … …s …mb … 0s
         SERVICE store VERSION latest
         NODE ADDRESS:PORT STARTED UPTIME MEMORY THREADS GC
         store-… 127.0.0.1:… … … … …s …mb … 0s",
    );
    let custom = micro(&server, "stats --all=custom").await.success();
    assert!(custom.starts_with("SERVICE    helloworld\n"), "{custom}");
    assert_eq!(custom.matches("SERVICE").count(), 1);
    for command in ["get service", "health", "stats"] {
        let line = format!("{command} nosuch");
        fails(&server, &line, 128, "service not found").await;
    }
    assert_eq!(
        micro(
            &server,
            r#"stream helloworld Helloworld.Stream '{"count":2}'"#
        )
        .await
        .success(),
        "{\n\t\"count\": \"0\"\n}\n{\n\t\"count\": \"1\"\n}\n"
    );
    assert_eq!(
        micro(
            &server,
            r#"stream --output=raw helloworld Helloworld.Stream '{"count":2}'"#
        )
        .await
        .success(),
        "{\"count\":\"0\"}\n{\"count\":\"1\"}\n"
    );

    // How much of the log.
    let lines = micro(&server, "logs helloworld").await.success();
    assert!(lines.contains("helloworld"), "{lines}");
    let last = micro(&server, "logs -n 1 helloworld").await.success();
    assert_eq!(last.lines().count(), 1, "{last}");
    assert_eq!(micro(&server, "logs -n 0 helloworld").await.success(), "");
    let since = micro(&server, "logs --since=1h helloworld").await.success();
    assert!(since.contains(&last), "{since}");
    fails(&server, "logs -n 0 nosuch", 1, "Service not found").await;

    // Its account is another one after an update, and so is its node.
    let before = micro(&server, "health helloworld").await.success();
    let updated = server
        .run_source_as("update", [micro_tests::example("helloworld")])
        .await;
    assert_eq!(updated.success(), "");
    let by_name = server.run_source_as("update", ["helloworld"]).await;
    assert_eq!((by_name.code, by_name.stdout.as_str()), (Some(0), ""));
    let after = micro(&server, "health helloworld").await.success();
    assert_ne!(before, after, "another process");
    let message = "not found";
    fails(&server, "update nosuch", 127, message).await;

    // What is not there, by the words of every command that calls.
    for (line, code, message) in [
        (
            "call helloworld Helloworld.Nosuch {}",
            5,
            "Service method \"Helloworld.Nosuch\" not found",
        ),
        (
            "call helloworld Nosuch.Call {}",
            5,
            "Service \"Nosuch\" not found",
        ),
        ("call nosuch X.Y {}", 4, "Service \"nosuch\" not found"),
        (
            "stream helloworld Helloworld.Nosuch {}",
            5,
            "Service method \"Helloworld.Nosuch\" not found",
        ),
        ("stream nosuch X.Y {}", 4, "Service \"nosuch\" not found"),
        (
            "call store Store.Nosuch {}",
            5,
            "Service method \"Store.Nosuch\" not found",
        ),
    ] {
        fails(&server, line, code, message).await;
    }
    assert!(server.stop().await.success());
    Ok(())
}

/// The variables of the table in docs/service.md.
fn documented() -> BTreeSet<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("docs/service.md");
    let text = fs::read_to_string(page).expect("the page is there");
    let (_, section) = text
        .split_once("## The environment of a service")
        .expect("the page has that section");
    let rows = section.lines().take_while(|line| !line.starts_with("## "));
    let names = rows.filter_map(|row| Some(row.strip_prefix("| `")?.split_once('`')?.0.to_owned()));
    names.collect()
}

#[tokio::test]
async fn a_service_finds_the_environment_that_the_docs_list() -> Result<()> {
    let builder = ServerBuilder::new(&profile()).env("HUSH", "of the server alone");
    let manifest = builder.write("bare/micro.toml", "run = ['env']\n");
    let folder = manifest
        .parent()
        .expect("in a folder")
        .display()
        .to_string();
    let mut server = builder.start().await;
    server.login().await;
    // It prints its environment and ends, which is no way for a service to behave.
    let ran = server
        .micro(["run", "--env_vars=MINE=1", folder.as_str()])
        .await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let mut expected = documented();
    assert!(expected.contains("MICRO_AUTH_SECRET"), "{expected:?}");
    expected.insert("MINE".to_owned());
    let found = wait_for("the service's log", || async {
        let printed = micro(&server, "logs -n 100 bare").await.success();
        let names = printed.lines().filter_map(|line| line.split_once('='));
        let names: BTreeSet<String> = names.map(|(name, _)| name.to_owned()).collect();
        (names.len() >= expected.len()).then_some(names)
    })
    .await;
    assert_eq!(found, expected);
    assert!(server.stop().await.success());
    Ok(())
}

#[tokio::test]
async fn events_and_the_broker_are_commands_too() -> Result<()> {
    let mut server = Server::start(&profile()).await;
    server.login().await;
    assert_shows(
        &micro(&server, "events --help").await.success(),
        "NAME: micro events VERSION: latest USAGE: micro events [command]
         COMMANDS: consume publish read store read store write stream consume stream publish stream publishBatch",
    );
    // {"a":1}, since bytes are typed in base64.
    let publish = "events publish --topic=chat --payload=eyJhIjoxfQ==";
    assert_shows(&micro(&server, publish).await.success(), r#"{ "id": "…" }"#);
    assert_shows(
        &micro(&server, "events read --topic=chat").await.success(),
        r#"{ "events": [ { "id": "…", "topic": "chat", "metadata": {}, "payload": "eyJhIjoxfQ==",
             "timestamp": "…", "attempt": 0 } ] }"#,
    );
    let publish = "broker publish --topic=health --message_body=eyJhIjoxfQ==";
    assert_shows(&micro(&server, publish).await.success(), "{}");
    assert_shows(
        &micro(&server, "config get nosuch").await.stderr,
        "Not found",
    );
    assert!(server.stop().await.success());
    Ok(())
}
