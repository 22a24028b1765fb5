//! Malformed input at every door: each gets its error within five seconds, and the server serves on.

use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::Request;
use micro_proto::{auth, runtime};
use micro_tests::{
    Server, fetch,
    grpc::{Answer, Connection, frame},
    profile, wait_for,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// How soon an error must be there.
const SOON: Duration = Duration::from_secs(30);

/// Runs one case and then asks the server for something ordinary.
async fn case<T>(
    server: &Server,
    name: &str,
    attempt: impl Future<Output = Result<T>>,
) -> Result<T> {
    let outcome = timeout(SOON, attempt)
        .await
        .with_context(|| format!("{name}: no answer within {SOON:?}"))?
        .with_context(|| name.to_owned())?;
    let listed = server.get("/registry/listServices").await;
    assert_eq!(listed.status, 200, "after {name}: {}", listed.text());
    Ok(outcome)
}

#[tokio::test]
async fn the_gateway_answers_malformed_requests() -> Result<()> {
    let mut server = Server::start(&profile()).await;
    let post = |content_type: &str, body: String| {
        let request = Request::post(format!("http://{}/registry/getService", server.api()))
            .header("content-type", content_type)
            .body(body);
        async move { fetch(request?).await }
    };
    let json = "application/json";
    let bodies = [
        ("bad JSON", "{bad", "column"),
        ("a list", "[1]", ""),
        ("a string", "\"x\"", ""),
        ("two values", "{} {}", ""),
        ("an object for a text", r#"{"service":{"a":1}}"#, "service"),
        ("a list for a text", r#"{"service":["a"]}"#, "service"),
        ("XML", "<a/>", ""),
    ];
    for (name, body, names) in bodies {
        let answer = case(&server, name, post(json, body.to_owned())).await?;
        assert_eq!(answer.status, 400, "{name}: {}", answer.text());
        let error = answer.json()?;
        assert_eq!(error["Code"], 400, "{name}");
        let detail = error["Detail"].as_str().unwrap_or_default();
        assert!(detail.contains(names), "{name}: {detail}");
    }
    let deep = format!("{}{}", r#"{"options":"#.repeat(20_000), "}".repeat(20_000));
    let answer = case(&server, "deep", post(json, deep));
    assert_eq!(answer.await?.status, 400);

    let garbage = "\u{7}\u{7f}\u{7f}garbage";
    let answer = case(
        &server,
        "garbage protobuf",
        post("application/protobuf", garbage.to_owned()),
    )
    .await?;
    assert!(
        answer.status.as_u16() >= 400,
        "{}: {}",
        answer.status,
        answer.text()
    );

    let large = "x".repeat(17 * 1024 * 1024);
    let oversized = format!(r#"{{"service":"{large}"}}"#);
    let answer = case(
        &server,
        "a body over the message limit",
        post(json, oversized),
    )
    .await?;
    assert_eq!(answer.status, 413, "{}", answer.text());

    // A length over the limit is refused before the body is sent.
    let head = format!(
        "POST /registry/getService HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
         content-length: 99999999999\r\n\r\n",
        server.api()
    );
    let text = case(
        &server,
        "a length over the limit",
        raw(&server.api().to_string(), head.as_bytes()),
    )
    .await?;
    assert!(text.starts_with("HTTP/1.1 413"), "{text}");

    for (name, bytes) in garbage_bytes() {
        case(&server, name, raw(&server.api().to_string(), &bytes)).await?;
    }
    let heads = [
        (
            "a broken header",
            "GET / HTTP/1.1\r\n\u{7f}: x\r\n\r\n",
            "400",
        ),
        ("no HTTP at all", "hello\r\n\r\n", "400"),
        (
            "two lengths",
            "POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
            "400",
        ),
        // Old clients end a body with a line of their own.
        (
            "a line after a request",
            "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n\r\n",
            "200",
        ),
    ];
    for (name, head, status) in heads {
        let text = case(
            &server,
            name,
            raw(&server.api().to_string(), head.as_bytes()),
        )
        .await?;
        assert!(
            text.starts_with(&format!("HTTP/1.1 {status}")),
            "{name}: {text:?}"
        );
    }
    let rebound = case(&server, "a host that is not this machine", async {
        let request = Request::get(format!("http://{}/registry/listServices", server.api()));
        fetch(request.header("host", "evil.example").body("")?).await
    })
    .await?;
    assert!(rebound.status.is_client_error(), "{}", rebound.status);
    assert!(server.stop().await.success());
    Ok(())
}

#[tokio::test]
async fn the_grpc_doors_answer_malformed_calls() -> Result<()> {
    let mut server = Server::start(&profile()).await;
    for door in [server.proxy().to_string(), server.network().to_string()] {
        let connection = Connection::open(&door).await?;
        let call = |metadata: &'static [(&'static str, &'static str)], body: Bytes| {
            let connection = connection.clone();
            async move {
                connection
                    .call_raw("/registry.Registry/GetService", metadata, body)
                    .await
            }
        };
        let json: &[_] = &[("content-type", "application/grpc+json")];

        let bad = case(&server, "bad JSON", call(json, frame(b"{bad"))).await?;
        assert_eq!(bad.error()?["code"], 400, "{}", bad.message);
        let wrong = case(
            &server,
            "wrong type",
            call(json, frame(br#"{"service":{}}"#)),
        )
        .await?;
        assert_eq!(wrong.error()?["code"], 400, "{}", wrong.message);
        refused(case(&server, "not UTF-8", call(json, frame(b"{\"\xff\":1}"))).await?);
        refused(
            case(
                &server,
                "garbage protobuf",
                call(&[], frame(b"\x07\xff\xff")),
            )
            .await?,
        );
        refused(case(&server, "no frame", call(&[], Bytes::from_static(b"gar"))).await?);
        let lying = Bytes::from_static(b"\0\xff\xff\xff\xffab");
        refused(case(&server, "a frame of 4 GiB", call(&[], lying)).await?);
        let large = frame(&vec![10; 17 * 1024 * 1024]);
        refused(case(&server, "an oversized message", call(&[], large)).await?);
        refused(
            case(
                &server,
                "another content type",
                call(&[("content-type", "text/html")], frame(b"")),
            )
            .await?,
        );

        for path in [
            "/",
            "/registry.Registry",
            "/a/b/c",
            "//",
            "/registry.Registry/",
        ] {
            let attempt = connection.call_raw(path, &[], frame(b""));
            refused(case(&server, path, attempt).await?);
        }
        for (name, bytes) in garbage_bytes() {
            case(&server, name, raw(&door, &bytes)).await?;
        }
    }
    assert!(server.stop().await.success());
    Ok(())
}

#[tokio::test]
async fn hostile_archives_are_refused() -> Result<()> {
    let mut server = Server::start(&profile()).await;
    let connection = Connection::open(&server.proxy().to_string()).await?;
    let token: auth::TokenResponse = connection
        .call(
            "/auth.Auth/Token",
            &[],
            &[auth::TokenRequest {
                id: "admin".into(),
                secret: "micro".into(),
                ..Default::default()
            }],
        )
        .await?
        .single()?;
    let token = format!("Bearer {}", token.token.expect("a token").access_token);
    let metadata = [("authorization", token.as_str())];

    let archives = [
        (
            "parent",
            archive("../outside", tar::EntryType::Regular, None)?,
        ),
        (
            "absolute",
            archive("/tmp/outside", tar::EntryType::Regular, None)?,
        ),
        (
            "symlink",
            archive("link", tar::EntryType::Symlink, Some("../../outside"))?,
        ),
        (
            "hardlink",
            archive("link", tar::EntryType::Link, Some("/etc/passwd"))?,
        ),
        ("device", archive("null", tar::EntryType::Char, None)?),
        ("garbage", b"this is no archive".repeat(100)),
    ];
    for (name, bytes) in archives {
        let service = runtime::Service {
            name: name.into(),
            version: "latest".into(),
            ..Default::default()
        };
        let upload = async {
            let chunks: Vec<_> = bytes
                .chunks(1024)
                .map(|chunk| runtime::UploadRequest {
                    service: Some(service.clone()),
                    data: chunk.to_vec().into(),
                })
                .collect();
            let answer = connection
                .call("/runtime.Source/Upload", &metadata, &chunks)
                .await?;
            // Refused at once, or when it is unpacked.
            let Ok(uploaded) = answer.single::<runtime::UploadResponse>() else {
                return Ok(answer.message);
            };
            let mut service = service.clone();
            service.source = uploaded.id;
            let create = runtime::CreateRequest {
                resource: Some(runtime::Resource {
                    service: Some(service),
                    ..Default::default()
                }),
                ..Default::default()
            };
            let created = connection
                .call("/runtime.Runtime/Create", &metadata, &[create])
                .await?;
            if created.status != 0 {
                return Ok(created.message);
            }
            error_of(&connection, &metadata, name).await
        };
        let error = case(&server, name, upload).await?;
        assert!(!error.is_empty(), "{name} was taken");
        assert!(!std::path::Path::new("/tmp/outside").exists(), "{name}");
    }
    assert!(server.stop().await.success());
    Ok(())
}

/// Waits until the runtime says why the service is in error.
async fn error_of(
    connection: &Connection,
    metadata: &[(&str, &str)],
    name: &str,
) -> Result<String> {
    let request = runtime::ReadRequest {
        options: Some(runtime::ReadOptions {
            service: name.into(),
            ..Default::default()
        }),
    };
    wait_for("the service is in error", || async {
        let call = connection.call(
            "/runtime.Runtime/Read",
            metadata,
            std::slice::from_ref(&request),
        );
        let read = call.await.and_then(|answer| answer.single());
        let read: runtime::ReadResponse = match read {
            Ok(read) => read,
            Err(error) => return Some(Err(error)),
        };
        let service = read.services.first()?;
        let error = service.metadata.get("error").cloned().unwrap_or_default();
        (service.status == 7).then_some(Ok(error))
    })
    .await
}

#[tokio::test]
async fn the_command_line_answers_malformed_words() -> Result<()> {
    let mut server = Server::start(&profile()).await;
    let cases: [(&[&str], i32, &str); 6] = [
        (
            &["registry", "getService", "--service"],
            128,
            "--service needs a value",
        ),
        (
            &["registry", "getService", "--nosuch=1"],
            128,
            "Unknown flag: nosuch",
        ),
        (
            &["registry", "nosuch"],
            128,
            "Endpoint Registry.Nosuch not found for service registry",
        ),
        (
            &["registry", "a", "b", "c"],
            128,
            "Incorrect number of arguments",
        ),
        (
            &["call", "registry", "Registry.GetService", "{bad"],
            1,
            "Error creating request",
        ),
        (
            &["asdasd"],
            1,
            "Unrecognized micro command: asdasd. Please refer to 'micro --help'",
        ),
    ];
    for (args, code, says) in cases {
        let output = server.micro(args.iter().copied()).await;
        assert_eq!(output.code, Some(code), "{args:?}: {}", output.stderr);
        assert!(output.stderr.contains(says), "{args:?}: {}", output.stderr);
        assert_eq!(output.stdout, "", "{args:?}");
    }
    assert!(server.stop().await.success());
    Ok(())
}

fn refused(answer: Answer) {
    assert_ne!(answer.status, 0, "{answer:?}");
}

/// Sends bytes to a door and reads until it closes, or has said enough.
async fn raw(address: &str, bytes: &[u8]) -> Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    // A door that has seen enough may close before it has read everything.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut text = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => break,
            Ok(read) => text.extend_from_slice(&chunk[..read]),
        }
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn garbage_bytes() -> Vec<(&'static str, Vec<u8>)> {
    let mut reset = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    reset.extend_from_slice(&[0xff; 512]);
    vec![
        (
            "random bytes",
            (0..4096u32).map(|i| (i * 7919 % 256) as u8).collect(),
        ),
        (
            "a TLS hello",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".repeat(20),
        ),
        ("an HTTP/2 preface and noise", reset),
        (
            "HTTP/1 with a broken header",
            b"GET / HTTP/1.1\r\n\xff\xfe: \0\r\n\r\n".to_vec(),
        ),
        (
            "an endless request line",
            [b"GET /".to_vec(), vec![b'a'; 1 << 20]].concat(),
        ),
    ]
}

fn archive(name: &str, kind: tar::EntryType, link: Option<&str>) -> Result<Vec<u8>> {
    let mut header = tar::Header::new_gnu();
    // The library refuses such names, so they are written as bytes.
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    if let Some(link) = link {
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
    }
    header.set_entry_type(kind);
    header.set_mode(0o755);
    header.set_size(0);
    header.set_cksum();
    let mut builder = tar::Builder::new(Vec::new());
    builder.append(&header, std::io::empty())?;
    Ok(builder.into_inner()?)
}
