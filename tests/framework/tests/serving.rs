//! A service as its callers see it: every kind of call, in protobuf and JSON, and everything that goes wrong.

#![allow(
    clippy::unwrap_used,
    reason = "the helpers of these tests are tests too"
)]

use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use http_body_util::BodyExt as _;
use micro::{
    CallOptions, Client, Error,
    client::Encoding,
    tonic::{Code, Request, body::Body, transport::Endpoint},
};
use micro_framework_tests::{
    Handler,
    proto::{Message, kinds_client::KindsClient},
};
use serde_json::{Value, json};

fn message(text: &str, number: i64) -> Message {
    Message {
        text: text.to_owned(),
        number,
    }
}

/// A tonic client that knows nothing of the framework.
async fn stock() -> KindsClient<tonic::transport::Channel> {
    let address = Handler::default().listen().await;
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    KindsClient::new(endpoint.connect().await.unwrap())
}

#[tokio::test]
async fn every_kind_in_protobuf() {
    let mut client = stock().await;
    let one = client.one(message("hi", 7)).await.unwrap().into_inner();
    assert_eq!(one, message("hi", 7));
    let down = client.down(message("n", 3)).await.unwrap().into_inner();
    let down: Vec<_> = down.map_ok(|m| m.number).try_collect().await.unwrap();
    assert_eq!(down, [0, 1, 2]);
    let up = stream::iter([message("a", 1), message("b", 2)]);
    assert_eq!(client.up(up).await.unwrap().into_inner(), message("ab", 3));

    // Both ways, one after the other: nothing waits for the end of the requests.
    let (sender, receiver) = futures::channel::mpsc::unbounded();
    let mut both = client.both(receiver).await.unwrap().into_inner();
    for n in 0..3 {
        sender.unbounded_send(message("x", n)).unwrap();
        assert_eq!(both.message().await.unwrap().unwrap(), message("x", n));
    }
    drop(sender);
    assert!(both.message().await.unwrap().is_none());
}

#[tokio::test]
async fn every_kind_in_json() {
    let client = Handler::default().serve().await;
    // The registry name is free; the handler is found by the last segment.
    for service in ["kinds", "foo", "a.b", ""] {
        let one = client
            .call_json(service, "Kinds.One", &json!({"text": 5}))
            .await
            .unwrap();
        assert_eq!(one, json!({"text": "5", "number": "0"}));
    }
    let parse = |bytes: Bytes| serde_json::from_slice::<Value>(&bytes).unwrap();
    let texts = |texts: &[&'static str]| {
        stream::iter(
            texts
                .iter()
                .map(|text| Bytes::from_static(text.as_bytes()))
                .collect::<Vec<_>>(),
        )
    };
    let open = async |endpoint, requests| {
        client
            .stream(
                "kinds",
                endpoint,
                Encoding::Json,
                requests,
                CallOptions::new(),
            )
            .await
    };

    let down = open("Kinds.Down", texts(&[r#"{"number":"2"}"#]))
        .await
        .unwrap();
    let down: Vec<_> = down.map_ok(parse).try_collect().await.unwrap();
    assert_eq!(
        down,
        [
            json!({"text": "", "number": "0"}),
            json!({"text": "", "number": "1"})
        ]
    );
    let up = open(
        "Kinds.Up",
        texts(&[r#"{"number":1}"#, "", "null", r#"{"number":4}"#]),
    )
    .await;
    let up: Vec<_> = up.unwrap().map_ok(parse).try_collect().await.unwrap();
    assert_eq!(up, [json!({"text": "", "number": "5"})]);
    // A method of one request gets an empty one if there is none; a stream of none stays empty.
    let none: Vec<_> = open("Kinds.Down", texts(&[]))
        .await
        .unwrap()
        .collect()
        .await;
    assert!(none.is_empty(), "{none:?}");
    let none: Vec<_> = open("Kinds.Both", texts(&[]))
        .await
        .unwrap()
        .collect()
        .await;
    assert!(none.is_empty(), "{none:?}");

    let (sender, receiver) = futures::channel::mpsc::unbounded();
    let options = CallOptions::new();
    let both = client
        .stream("kinds", "Kinds.Both", Encoding::Json, receiver, options)
        .await;
    let mut both = both.unwrap();
    assert_eq!(both.headers()["content-type"], "application/grpc+json");
    for n in 0..3 {
        sender
            .unbounded_send(Bytes::from(format!(r#"{{"number":{n}}}"#)))
            .unwrap();
        let answer = parse(both.next().await.unwrap().unwrap());
        assert_eq!(answer, json!({"text": "", "number": n.to_string()}));
    }
    // A message in the middle of a stream that cannot be read ends the stream with its reason.
    sender
        .unbounded_send(Bytes::from_static(b"{\"number\":[]}"))
        .unwrap();
    let error = both.next().await.unwrap().unwrap_err();
    assert_eq!((error.code, error.id.as_str()), (400, "kinds"));
    assert!(
        error.detail.starts_with("field number: expected a number"),
        "{error}"
    );
    assert!(both.next().await.is_none());
}

#[tokio::test]
async fn bad_calls_get_their_error_and_the_service_lives() {
    let client = Handler::default().serve().await;
    let call = async |endpoint: &str, encoding, body: &'static [u8]| {
        let body = Bytes::from_static(body);
        client
            .call("kinds", endpoint, encoding, body, CallOptions::new())
            .await
            .unwrap_err()
    };
    use Encoding::{Json, Proto};
    for (endpoint, encoding, body, code, detail) in [
        ("Kinds.One", Json, &b"{bad"[..], 400, "invalid JSON"),
        ("Kinds.One", Json, b"\xff", 400, "not UTF-8"),
        ("Kinds.One", Json, br#"{"text":{}}"#, 400, "field text"),
        (
            "Kinds.Nosuch",
            Json,
            b"{}",
            404,
            "unknown service Kinds.Nosuch",
        ),
        ("Nosuch.One", Proto, b"", 404, "unknown service Nosuch"),
        ("Kinds.One", Proto, b"\xff\xff\xff", 500, "failed to decode"),
        (
            "/Kinds",
            Proto,
            b"",
            400,
            "malformed method name: \"/Kinds\"",
        ),
        (
            "Kinds.One",
            Json,
            br#"{"text":"panic"}"#,
            500,
            "panic recovered: boom 100%",
        ),
        ("Kinds.One", Json, br#"{"text":"fail:409"}"#, 409, "as told"),
        ("Kinds.One", Json, br#"{"text":"plain"}"#, 500, "as told"),
    ] {
        let error = call(endpoint, encoding, body).await;
        assert_eq!(error.code, code, "{endpoint} {error}");
        assert!(error.detail.contains(detail), "{endpoint} {error}");
    }
    let panic = call("Kinds.One", Json, br#"{"text":"panic"}"#).await;
    assert_eq!(
        panic,
        Error::internal_server_error("kinds", "panic recovered: boom 100%")
    );
    assert!(
        client
            .call_json("kinds", "Kinds.One", &json!({}))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_panic_in_a_stream_ends_that_stream() {
    let mut client = stock().await;
    let mut down = client.down(message("panic", 9)).await.unwrap().into_inner();
    // How many of the messages before it get out depends on how they were written together.
    let status = loop {
        match down.message().await {
            Ok(message) => assert!(message.unwrap().number < 2),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::Internal);
    assert_eq!(Error::from(status).detail, "panic recovered: boom at 2");
    assert!(client.one(message("hi", 0)).await.is_ok());
}

#[tokio::test]
async fn messages_up_to_sixteen_megabytes() {
    let mut client = stock().await;
    let large = message(&"x".repeat(15 * 1024 * 1024), 0);
    assert_eq!(client.one(large.clone()).await.unwrap().into_inner(), large);
    let too_large = message(&"x".repeat(16 * 1024 * 1024), 0);
    let status = client.one(too_large).await.unwrap_err();
    assert!(
        matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted),
        "{status}"
    );
    let client = Handler::default().serve().await;
    let huge = json!({"text": "x".repeat(16 * 1024 * 1024)});
    let error = client
        .call_json("kinds", "Kinds.One", &huge)
        .await
        .unwrap_err();
    assert!(error.detail.contains("larger than the limit"), "{error}");
}

#[tokio::test]
async fn deadlines_end_a_call_on_both_sides() {
    // The service's side, seen by a client that only announces its patience.
    let mut client = stock().await;
    let mut request = Request::new(message("never", 0));
    request
        .metadata_mut()
        .insert("timeout", "50000000".parse().unwrap());
    let status = client.one(request).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(Error::from(status).id, "kinds");

    // The client's side, against somebody who accepts connections and says nothing.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let client = Client::builder().address(address).build().unwrap();
    let options = CallOptions::new().timeout(Duration::from_millis(50));
    let error = client
        .call_json_with("kinds", "Kinds.One", &json!({}), options)
        .await
        .unwrap_err();
    assert_eq!((error.code, error.id.as_str()), (408, "go.micro.client"));
}

#[tokio::test]
async fn compressed_json_is_refused_clearly() {
    use tower_service::Service as _;
    let client = Handler::default().serve().await;
    let request = http::Request::post("/kinds.Kinds/One")
        .header("content-type", "application/grpc+json")
        .header("grpc-encoding", "gzip")
        .body(Body::empty())
        .unwrap();
    let response = client.service("kinds").call(request).await.unwrap();
    assert_eq!(response.headers()["grpc-status"], "12");
    assert_eq!(response.headers()["content-type"], "application/grpc+json");
    assert!(
        response
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .is_empty()
    );
}

#[tokio::test]
async fn reflection_health_and_debug() {
    let address = Handler::default().listen().await;
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let channel = endpoint.connect().await.unwrap();

    use tonic_reflection::pb::{v1, v1alpha};
    let list = v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(v1::server_reflection_request::MessageRequest::ListServices(
            String::new(),
        )),
    };
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(channel.clone());
    let answers = client
        .server_reflection_info(stream::iter([list]))
        .await
        .unwrap();
    let answer = answers
        .into_inner()
        .message()
        .await
        .unwrap()
        .unwrap()
        .message_response
        .unwrap();
    let v1::server_reflection_response::MessageResponse::ListServicesResponse(list) = answer else {
        panic!("{answer:?}");
    };
    let mut names: Vec<_> = list
        .service
        .into_iter()
        .map(|service| service.name)
        .collect();
    names.sort();
    for name in ["debug.Debug", "grpc.health.v1.Health", "kinds.Kinds"] {
        assert!(names.iter().any(|n| n == name), "{name} in {names:?}");
    }
    assert!(
        !names.iter().any(|name| name.starts_with("store.")),
        "{names:?}"
    );

    let file = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(
            v1alpha::server_reflection_request::MessageRequest::FileContainingSymbol(
                "kinds.Message".into(),
            ),
        ),
    };
    let mut old = v1alpha::server_reflection_client::ServerReflectionClient::new(channel.clone());
    let answers = old
        .server_reflection_info(stream::iter([file]))
        .await
        .unwrap();
    let answer = answers
        .into_inner()
        .message()
        .await
        .unwrap()
        .unwrap()
        .message_response
        .unwrap();
    let v1alpha::server_reflection_response::MessageResponse::FileDescriptorResponse(_) = answer
    else {
        panic!("{answer:?}");
    };

    use tonic_health::pb::{
        HealthCheckRequest, health_check_response::ServingStatus, health_client,
    };
    let mut health = health_client::HealthClient::new(channel);
    for service in ["", "kinds.Kinds"] {
        let request = HealthCheckRequest {
            service: service.into(),
        };
        let answer = health.check(request).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service:?}");
    }

    let client = Client::builder()
        .address(address.to_string())
        .build()
        .unwrap();
    let debug = async |endpoint: &str| client.call_json("kinds", endpoint, &json!({})).await;
    assert_eq!(
        debug("Debug.Health").await.unwrap(),
        json!({"status": "ok"})
    );
    assert!(
        client
            .call_json("kinds", "Kinds.One", &json!({"text": "fail:404"}))
            .await
            .is_err()
    );
    assert!(
        client
            .call_json("kinds", "Kinds.One", &json!({}))
            .await
            .is_ok()
    );
    let count = |stats: &Value, key: &str| stats[key].as_str().unwrap().parse::<u64>().unwrap();
    // A call is counted when its answer is gone.
    let mut stats = debug("Debug.Stats").await.unwrap();
    for _ in 0..1000 {
        if count(&stats, "requests") == 2 {
            break;
        }
        stats = debug("Debug.Stats").await.unwrap();
    }
    assert_eq!(
        (count(&stats, "requests"), count(&stats, "errors")),
        (2, 1),
        "{stats}"
    );
    assert!(
        count(&stats, "memory") > 1024 * 1024 && count(&stats, "threads") > 0,
        "{stats}"
    );
    let trace = debug("Debug.Trace").await.unwrap();
    assert_eq!(trace["spans"][0]["name"], "kinds.Kinds.One", "{trace}");
    assert_eq!(trace["spans"][0]["type"], "INBOUND", "{trace}");
    assert_eq!(debug("Debug.Log").await.unwrap_err().code, 501);
}
