//! The HTTP door, request by request.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use http::{Method, Request};
use micro_gateway::{Settings, Unready};
use micro_tests::{Answer, fetch};
use prost::Message;
use serde_json::{Value, json};

use crate::{
    node::{nobody, node},
    platform::{Door, Platform},
    service::{Hello, Reply, endpoints, helloworld, plain},
};

async fn open(settings: Settings) -> (Platform, Door) {
    let platform = Platform::start().await;
    platform
        .register_with("helloworld", &[helloworld(false).await], endpoints())
        .await;
    platform
        .register_with("dead", &[nobody().await], endpoints())
        .await;
    // It answers, but not as gRPC does.
    let web = node(|mut call| async move {
        let response = http::Response::builder().status(404).body(()).unwrap();
        call.respond.send_response(response, true).unwrap();
    });
    platform.register("web-like", &[web.await]).await;
    let door = platform.gateway_with(settings).await;
    (platform, door)
}

/// `GET /path`, or `POST /path content-type`, headers as `name: value` after it, one a line.
async fn send(door: &Door, request: &str, body: impl Into<Bytes>) -> Answer {
    let mut lines = request.lines();
    let (method, path) = lines.next().unwrap().split_once(' ').unwrap();
    let mut builder = Request::builder()
        .method(method.parse::<Method>().unwrap())
        .uri(format!("http://{}{path}", door.address));
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        builder = builder.header(name.trim(), value);
    }
    fetch(builder.body(body.into()).unwrap()).await.unwrap()
}

#[track_caller]
fn assert_error(answer: &Answer, what: &str, status: u16, detail: &str) {
    let text = answer.text();
    assert_eq!(answer.status, status, "{what}: {text}");
    assert_eq!(answer.headers["content-type"], "application/json", "{what}");
    let error: Value = answer.json().unwrap();
    let keys: Vec<_> = error
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(keys, ["Id", "Code", "Detail", "Status"], "{what}");
    assert_eq!(error["Code"], status, "{what}");
    let got = error["Detail"].as_str().unwrap();
    assert!(got.contains(detail), "{what}: {got:?} has no {detail:?}");
}

const JSON: &str = "\ncontent-type: application/json";

#[tokio::test]
async fn calls_that_succeed() {
    let (_platform, door) = open(Settings::default()).await;
    let form = "\ncontent-type: application/x-www-form-urlencoded";
    let multipart = "\ncontent-type: multipart/form-data; boundary=B";
    let parts = "--B\r\ncontent-disposition: form-data; name=\"name\"\r\n\r\nPart\r\n--B--\r\n";
    let long = "x".repeat(300_000);
    for (request, body, msg) in [
        ("GET /helloworld/call?name=Joe", "", "Hello Joe"),
        ("GET /helloworld?name=Joe", "", "Hello Joe"),
        ("GET /helloworld/Helloworld/Call?name=Joe", "", "Hello Joe"),
        ("GET /helloworld/helloworld/call?name=Joe", "", "Hello Joe"),
        ("GET /helloworld/call/?name=Joe", "", "Hello Joe"),
        ("GET /helloworld/c%61ll?name=Joe", "", "Hello Joe"),
        ("GET /helloworld/call?name=a&name=b", "", "Hello b"),
        ("GET /helloworld/call?nosuch=1", "", "Hello "),
        ("GET /helloworld/call?name=%C3%A9%26", "", "Hello é&"),
        ("GET /helloworld/call?name=123", "", "Hello 123"),
        ("GET /helloworld/call?name=1.50", "", "Hello 1.50"),
        ("GET /helloworld/call?name=true", "", "Hello true"),
        (
            "GET /helloworld/call?name=00123456789012345678901",
            "",
            "Hello 00123456789012345678901",
        ),
        ("GET /helloworld/call?name=a=b", "", "Hello a=b"),
        ("POST /helloworld/call", r#"{"name":5}"#, "Hello 5"),
        ("POST /helloworld/call", r#"{"name":"Joe"}"#, "Hello Joe"),
        (
            &format!("POST /helloworld/call{JSON}"),
            r#"{"name":"Joe"}"#,
            "Hello Joe",
        ),
        (
            &format!("POST /helloworld/call{JSON}; charset=utf-8"),
            r#"{"name":"J"}"#,
            "Hello J",
        ),
        ("POST /helloworld/call?name=Q", "{}", "Hello Q"),
        ("POST /helloworld/call?name=Q", r#"{"name":"B"}"#, "Hello B"),
        (
            &format!("POST /helloworld/call{form}"),
            "name=Form",
            "Hello Form",
        ),
        (
            &format!("POST /helloworld/call{form}"),
            "name=a&name=b",
            "Hello a,b",
        ),
        (
            // As `curl -d` sends it.
            &format!("POST /helloworld/call?name=Q{form}"),
            " {\"name\":\"J\"}",
            "Hello J",
        ),
        (
            &format!("POST /helloworld/call?name=Q{form}"),
            "",
            "Hello Q",
        ),
        (
            &format!("POST /helloworld/call{multipart}"),
            parts,
            "Hello Part",
        ),
        ("POST /helloworld/call", "", "Hello "),
        ("POST /helloworld/call", r#"{"name":null}"#, "Hello "),
        ("PUT /helloworld/call", r#"{"name":"Joe"}"#, "Hello Joe"),
        ("PATCH /helloworld/call", r#"{"name":"Joe"}"#, "Hello Joe"),
        ("DELETE /helloworld/call", r#"{"name":"Joe"}"#, "Hello Joe"),
        ("DELETE /helloworld/call?name=Joe", "", "Hello Joe"),
        (
            "POST /helloworld/call",
            &format!(r#"{{"name":"{long}"}}"#),
            &format!("Hello {long}"),
        ),
        (
            "GET /helloworld/call?name=Joe\nauthorization: Bearer bad",
            "",
            "Hello Joe",
        ),
        (
            "GET /helloworld/metadata?name=foobar\nfoobar: x\nfoobar: y",
            "",
            "x,y",
        ),
        ("GET /helloworld/metadata?name=method", "", "GET"),
        (
            "POST /helloworld/metadata?name=url",
            "",
            "/helloworld/metadata?name=url",
        ),
        (
            "GET /helloworld/metadata?name=host\nhost: localhost:1",
            "",
            "localhost:1",
        ),
        ("GET /helloworld/metadata?name=micro-namespace", "", "micro"),
        (
            "GET /helloworld/metadata?name=keep-alive\nkeep-alive: 5",
            "",
            "",
        ),
        (
            "GET /helloworld/metadata?name=authorization\ncookie: micro-token=T",
            "",
            "Bearer T",
        ),
        (
            "GET /helloworld/metadata?name=authorization\ncookie: micro-token=T\nsec-fetch-site: cross-site",
            "",
            "",
        ),
    ] {
        let answer = send(&door, request, body.to_owned()).await;
        let short = request.lines().next().unwrap();
        assert_eq!(answer.status, 200, "{short}: {}", answer.text());
        assert_eq!(
            answer.headers["content-type"], "application/json",
            "{short}"
        );
        let got = answer.json().unwrap();
        assert_eq!(got, json!({ "msg": msg }), "{short}");
    }
    let answer = send(&door, "HEAD /helloworld/call?name=Joe", "").await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.headers["content-length"],
        r#"{"msg":"Hello Joe"}"#.len().to_string()
    );
    assert!(answer.body.is_empty());
}

#[tokio::test]
async fn calls_that_fail() {
    let settings = Settings {
        call_timeout: Duration::from_millis(500),
        ..Settings::default()
    };
    let (_platform, door) = open(settings).await;
    let xml = "\ncontent-type: application/xml";
    let form = "\ncontent-type: application/x-www-form-urlencoded";
    for (request, body, status, detail) in [
        (
            "POST /helloworld/call",
            &br#"{"name":{"a":1}}"#[..],
            400,
            "name",
        ),
        (
            "GET /helloworld/call?name={\"a\":1}"
                .replace('"', "%22")
                .as_str(),
            b"",
            400,
            "name",
        ),
        ("POST /helloworld/call", b"{bad", 400, "line 1 column 2"),
        ("POST /helloworld/call?a=1", b"{bad", 400, "line 1 column 2"),
        ("POST /helloworld/call", b"[1]", 400, "position 0"),
        ("POST /helloworld/call", b"\"x\"", 400, "position 0"),
        (
            "POST /helloworld/call",
            b"{\"name\":\"\xff\"}",
            400,
            "position 9",
        ),
        (
            &format!("POST /helloworld/call{xml}"),
            b"<name>x</name>",
            400,
            "line 1 column 1",
        ),
        (
            "GET /helloworld/call?flag",
            b"",
            400,
            "\"flag\" has no value",
        ),
        (
            "GET /helloworld/nosuch",
            b"",
            404,
            "unknown service Helloworld.Nosuch: helloworld has no method Nosuch in Helloworld",
        ),
        (
            &format!("POST /helloworld/call{form}"),
            b"{\"name\"",
            400,
            "the body is not valid JSON",
        ),
        (
            "GET /nosuch/call",
            b"",
            404,
            "service nosuch: route not found",
        ),
        (
            "GET /helloworld/a/b/c/d",
            b"",
            404,
            "service helloworld.a.b: route not found",
        ),
        (
            "GET /helloworld/call\nmicro-namespace: other",
            b"",
            404,
            "route not found",
        ),
        ("GET /hello%20world/call", b"", 404, "route not found"),
        ("GET /helloworld/a.b", b"", 404, "route not found"),
        ("GET /%ff/call", b"", 400, "UTF-8"),
        (
            "GET /helloworld/call\nauthorization: bad",
            b"",
            401,
            "invalid authorization header. Expected Bearer or Basic schema",
        ),
        (
            "POST /helloworld/stream\ncontent-type: application/protobuf",
            b"",
            415,
            "helloworld:Helloworld.Stream streams",
        ),
        ("GET /store/list", b"", 401, "An account is required"),
        (
            "POST /store/read",
            br#"{"key":"k"}"#,
            401,
            "An account is required",
        ),
        (
            "POST /helloworld/call",
            br#"{"name":"plain"}"#,
            500,
            "oops 100% \"bad\"",
        ),
        (
            "POST /helloworld/call",
            br#"{"name":"error"}"#,
            409,
            "taken already",
        ),
        (
            "POST /helloworld/call",
            br#"{"name":"hang"}"#,
            408,
            "context deadline exceeded",
        ),
        ("GET /dead/call", b"", 503, "service dead: "),
        ("GET /web-like/call", b"", 502, "404"),
        (
            "GET /router/lookup",
            b"",
            404,
            "service router: route not found",
        ),
        (
            "POST /helloworld/call\ncontent-type: application/protobuf",
            b"\xff\xff\xff",
            500,
            "",
        ),
        (
            "POST /helloworld/call\ncontent-type: multipart/form-data",
            b"x",
            400,
            "multipart",
        ),
        (
            "GET /helloworld/call\nhost: evil.example",
            b"",
            421,
            "localhost",
        ),
    ] {
        let answer = send(&door, request, Bytes::copy_from_slice(body)).await;
        assert_error(&answer, request, status, detail);
    }
    let error = send(&door, "GET /store/list", "").await.json().unwrap();
    let want = json!({
        "Id": "store.Store.List", "Code": 401, "Detail": "An account is required",
        "Status": "Unauthorized",
    });
    assert_eq!(error, want);
    let timeout = send(&door, "GET /helloworld/call?name=hang", "")
        .await
        .json()
        .unwrap();
    assert_eq!(timeout["Id"], "go.micro.client");
}

#[tokio::test]
async fn protobuf_bodies() {
    let (_platform, door) = open(Settings::default()).await;
    let body = Hello {
        name: "P".into(),
        count: 0,
    };
    for kind in [
        "application/protobuf",
        "application/grpc+proto",
        "application/octet-stream",
        "application/x-protobuf",
    ] {
        let request = format!("POST /helloworld/call\ncontent-type: {kind}");
        let answer = send(&door, &request, body.encode_to_vec()).await;
        assert_eq!(answer.status, 200, "{kind}: {}", answer.text());
        assert_eq!(answer.headers["content-type"], kind);
        assert_eq!(Reply::decode(answer.body).unwrap().msg, "Hello P");
    }
}

#[tokio::test]
async fn fixed_paths_and_redirects() {
    let (platform, door) = open(Settings::default()).await;
    let version = concat!("{\"version\": \"v", env!("CARGO_PKG_VERSION"), "\"}");
    for request in ["GET /", "POST /", "DELETE /"] {
        let answer = send(&door, request, "").await;
        assert_eq!(
            (answer.status.as_u16(), answer.text().as_str()),
            (200, version)
        );
    }
    let answer = send(&door, "GET /favicon.ico", "").await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, ""));
    assert_eq!(send(&door, "GET /healthz", "").await.status, 200);
    for (path, location) in [
        ("/helloworld//call?name=x", "/helloworld/call?name=x"),
        ("/helloworld/../store/list", "/store/list"),
        ("/helloworld/%2e%2e/store/list", "/store/list"),
        ("//evil.example/x", "/evil.example/x"),
    ] {
        let answer = send(&door, &format!("GET {path}"), "").await;
        assert_eq!(answer.status, 301, "{path}");
        assert_eq!(answer.headers["location"], location, "{path}");
    }
    let answer = send(&door, "GET /readyz", "").await;
    assert_eq!(
        (
            answer.status.as_u16(),
            answer.json().unwrap()["ready"].clone()
        ),
        (200, true.into())
    );
    platform.ready.0.lock().unwrap().push(Unready {
        kind: "module",
        name: "store".into(),
        reason: "the disk is full".into(),
    });
    let answer = send(&door, "GET /readyz", "").await;
    assert_eq!(answer.status, 503);
    let unready = &answer.json().unwrap()["unready"][0];
    assert_eq!(
        *unready,
        json!({"kind": "module", "name": "store", "reason": "the disk is full"})
    );
}

#[tokio::test]
async fn cross_site_headers() {
    let trusted = BTreeSet::from(["https://good.example".to_owned()]);
    let settings = Settings {
        trusted_origins: trusted,
        ..Settings::default()
    };
    let (_platform, door) = open(settings).await;
    for (request, status) in [
        ("OPTIONS /helloworld/call", 200),
        ("GET /helloworld/call", 200),
        ("GET /nosuch/call", 404),
        ("GET /", 200),
    ] {
        for (origin, allowed, credentials) in [
            (None, "*", false),
            (Some("https://evil.example"), "https://evil.example", false),
            (Some("https://good.example"), "https://good.example", true),
        ] {
            let origin = origin
                .map(|origin| format!("\norigin: {origin}"))
                .unwrap_or_default();
            let answer = send(&door, &format!("{request}{origin}"), "").await;
            assert_eq!(answer.status, status, "{request}");
            assert_eq!(answer.headers["access-control-allow-origin"], allowed);
            let methods = "POST, PATCH, GET, OPTIONS, PUT, DELETE";
            assert_eq!(answer.headers["access-control-allow-methods"], methods);
            let got = answer.headers.get("access-control-allow-credentials");
            assert_eq!(got.is_some(), credentials, "{origin}");
            if request.starts_with("OPTIONS") {
                assert!(answer.body.is_empty());
            }
        }
    }
}

#[tokio::test]
async fn bodies_that_are_too_large() {
    let (_platform, door) = open(Settings::default()).await;
    let answer = send(&door, "POST /helloworld/call", vec![b' '; 17 * 1024 * 1024]).await;
    assert_error(&answer, "17 MiB", 413, "the largest message of a call");
    let request = "POST /helloworld/call\ncontent-type: multipart/form-data; boundary=B";
    let mut form =
        b"--B\r\ncontent-disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n".to_vec();
    form.resize(form.len() + 13 * 1024 * 1024, b'x');
    form.extend(b"\r\n--B--\r\n");
    let answer = send(&door, request, form).await;
    assert_error(&answer, "13 MiB as base64", 413, "in pieces over gRPC");
    assert_eq!(
        send(&door, "GET /helloworld/call?name=x", "").await.status,
        200
    );
}

#[tokio::test]
async fn the_same_over_http2() {
    let (_platform, door) = open(Settings::default()).await;
    let client = crate::node::Client::connect(door.address).await;
    let json = [("content-type", "application/json")];
    let answer = client
        .call("/helloworld/call", &json, r#"{"name":"Two"}"#)
        .await
        .unwrap();
    assert_eq!(answer.head.status, 200);
    assert_eq!(answer.body, r#"{"msg":"Hello Two"}"#);
}

#[tokio::test]
async fn plain_grpc_services_are_spoken_to_in_protobuf() {
    let platform = Platform::start().await;
    // Its package is another than its name here, and it has registered no endpoints.
    platform.register("greeter", &[plain().await]).await;
    let door = platform.gateway().await;
    for (request, body, status, want) in [
        (
            "GET /greeter/helloworld/call?name=Joe",
            "",
            200,
            "{\"msg\":\"Hello Joe\"}",
        ),
        (
            "POST /greeter/helloworld/call",
            "{\"name\":5}",
            200,
            "{\"msg\":\"Hello 5\"}",
        ),
        (
            "GET /greeter/helloworld/stream?count=2",
            "",
            200,
            "{\"msg\":\"0\"}{\"msg\":\"1\"}",
        ),
        (
            "POST /greeter/helloworld/call",
            "{\"name\":{\"a\":1}}",
            400,
            "name",
        ),
        (
            "POST /greeter/helloworld/call",
            "{\"name\":\"error\"}",
            409,
            "taken already",
        ),
    ] {
        let answer = send(&door, request, body).await;
        assert_eq!(answer.status, status, "{request}: {}", answer.text());
        match status {
            200 => assert_eq!(answer.text(), want, "{request}"),
            _ => assert_error(&answer, request, status, want),
        }
    }
    // Protobuf passes as it is.
    let hello = Hello {
        name: "P".into(),
        count: 0,
    };
    let request = "POST /greeter/helloworld/call\ncontent-type: application/protobuf";
    let answer = send(&door, request, hello.encode_to_vec()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(Reply::decode(answer.body).unwrap().msg, "Hello P");
    let long = "x".repeat(1024 * 1024);
    let body = json!({"name": long}).to_string();
    let answer = send(&door, "POST /greeter/helloworld/call", body).await;
    let msg = answer.json().unwrap()["msg"].as_str().unwrap().len();
    assert_eq!(msg, long.len() + "Hello ".len());
}
