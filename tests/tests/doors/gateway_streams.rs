//! Streams through the HTTP door: JSON back to back, lines, and server-sent events.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use micro_tests::PATIENCE;
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};

use crate::{
    platform::{Door, Platform},
    service::{endpoints, helloworld},
    streamer::{Heard, Told, hear, things},
};

/// An answer whose body is read as it comes. Dropping it closes the connection.
struct Streaming {
    status: StatusCode,
    headers: HeaderMap,
    body: Incoming,
    connection: tokio::task::JoinHandle<()>,
}

impl Streaming {
    async fn get(address: SocketAddr, path: &str, accept: Option<&str>) -> Self {
        let socket = TcpStream::connect(address).await.unwrap();
        let (mut send, connection) = http1::handshake(TokioIo::new(socket)).await.unwrap();
        let connection = tokio::spawn(async move { drop(connection.await) });
        let mut request = Request::get(path).header("host", address.to_string());
        if let Some(accept) = accept {
            request = request.header("accept", accept);
        }
        let request = request.body(Full::<Bytes>::default()).unwrap();
        let response = timeout(PATIENCE, send.send_request(request)).await;
        let (head, body) = response.expect("a head").unwrap().into_parts();
        Self {
            status: head.status,
            headers: head.headers,
            body,
            connection,
        }
    }

    /// What came next, as text; `None` at the end.
    async fn next(&mut self) -> Option<String> {
        let frame = timeout(PATIENCE, self.body.frame()).await;
        let data = frame.expect("more of the body")?.unwrap().into_data();
        Some(String::from_utf8(data.unwrap().to_vec()).unwrap())
    }

    /// All that is still to come, as text.
    async fn rest(mut self) -> String {
        let mut text = String::new();
        while let Some(part) = self.next().await {
            text.push_str(&part);
        }
        text
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

fn values(text: &str) -> Vec<Value> {
    serde_json::Deserializer::from_str(text)
        .into_iter()
        .map(|value| value.unwrap())
        .collect()
}

async fn open() -> (Platform, Door, Heard) {
    let platform = Platform::start().await;
    let heard = things(&platform).await;
    let door = platform.gateway().await;
    (platform, door, heard)
}

#[tokio::test]
async fn messages_follow_one_another() {
    let (platform, door, _heard) = open().await;
    platform
        .register_with("helloworld", &[helloworld(false).await], endpoints())
        .await;
    let counted = "{\"count\":\"0\"}{\"count\":\"1\"}{\"count\":\"2\"}";
    let lines = "{\"count\":\"0\"}\n{\"count\":\"1\"}\n{\"count\":\"2\"}\n";
    let events =
        "data: {\"count\":\"0\"}\n\ndata: {\"count\":\"1\"}\n\ndata: {\"count\":\"2\"}\n\n";
    for (accept, content_type, want) in [
        (None, "application/json", counted),
        (Some("*/*"), "application/json", counted),
        (Some("application/x-ndjson"), "application/x-ndjson", lines),
        (Some("text/event-stream"), "text/event-stream", events),
    ] {
        let answer = Streaming::get(door.address, "/things/count", accept).await;
        assert_eq!(answer.status, 200, "{accept:?}");
        assert_eq!(answer.headers["content-type"], content_type);
        assert_eq!(answer.headers["cache-control"], "no-cache");
        assert_eq!(answer.rest().await, want, "{accept:?}");
    }
    // As our framework serves it, from a query and from a body.
    let answer = Streaming::get(door.address, "/helloworld/stream?count=3", None).await;
    let want = [
        json!({"msg": "0"}),
        json!({"msg": "1"}),
        json!({"msg": "2"}),
    ];
    assert_eq!(values(&answer.rest().await), want);
    let none = Streaming::get(door.address, "/helloworld/stream?count=0", None).await;
    assert_eq!(none.status, 200);
    assert_eq!(none.rest().await, "");
    let many = Streaming::get(door.address, "/helloworld/stream?count=20000", None).await;
    let many = values(&many.rest().await);
    assert_eq!(many.len(), 20_000);
    assert_eq!(many[19_999], json!({"msg": "19999"}));
}

#[tokio::test]
async fn a_message_arrives_when_it_is_sent_and_a_client_that_leaves_ends_the_call() {
    let (_platform, door, mut heard) = open().await;
    for (accept, want) in [
        (None, "{\"one\":1}"),
        (Some("text/event-stream"), "data: {\"one\":1}\n\n"),
    ] {
        let mut answer = Streaming::get(door.address, "/things/hang", accept).await;
        assert_eq!(answer.next().await.as_deref(), Some(want));
        drop(answer);
        assert_eq!(hear(&mut heard).await, Told::Cancelled, "{accept:?}");
    }
}

#[tokio::test]
async fn failures_before_and_after_the_first_message() {
    let (_platform, door, _heard) = open().await;
    let want = json!({
        "Id": "things", "Code": 409, "Detail": "taken already", "Status": "Conflict",
    });
    for accept in [
        None,
        Some("application/x-ndjson"),
        Some("text/event-stream"),
    ] {
        let refused = Streaming::get(door.address, "/things/refuse", accept).await;
        assert_eq!(refused.status, 409, "{accept:?}");
        assert_eq!(refused.headers["content-type"], "application/json");
        assert_eq!(values(&refused.rest().await), std::slice::from_ref(&want));
    }
    let failed = Streaming::get(door.address, "/things/fail", None).await;
    assert_eq!(failed.status, 200);
    assert_eq!(
        values(&failed.rest().await),
        [json!({"one": 1}), want.clone()]
    );
    let failed = Streaming::get(door.address, "/things/fail", Some("text/event-stream")).await;
    let text = failed.rest().await;
    let (message, error) = text.split_once("\n\n").unwrap();
    assert_eq!(message, "data: {\"one\":1}");
    let error = error.strip_prefix("event: error\ndata: ").unwrap();
    assert_eq!(values(error), [want]);
    // The service is gone in the middle.
    let died = Streaming::get(door.address, "/things/die", None).await;
    let got = values(&died.rest().await);
    assert_eq!(got[0], json!({"one": 1}));
    assert_eq!(got[1]["Code"], 502, "{got:?}");
    let detail = got[1]["Detail"].as_str().unwrap();
    assert!(
        detail.starts_with("the service broke off its answer"),
        "{detail}"
    );
    assert_eq!(got.len(), 2);
}

#[tokio::test]
async fn streams_have_no_deadline_and_calls_that_are_not_admitted_do_not_begin() {
    let (_platform, door, mut heard) = open().await;
    let answer = Streaming::get(door.address, "/things/tell", None).await;
    assert_eq!(answer.status, 200);
    let head = Told::Head("application/grpc+json".into(), None);
    assert_eq!(hear(&mut heard).await, head);
    drop(answer);
    let answer = Streaming::get(door.address, "/store/list", Some("text/event-stream")).await;
    assert_eq!(answer.status, 401);
    let answer = Streaming::get(door.address, "/nosuch/list", Some("text/event-stream")).await;
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn a_slow_reader_stops_the_service() {
    let (_platform, door, mut heard) = open().await;
    for accept in [None, Some("text/event-stream")] {
        let answer = Streaming::get(door.address, "/things/flood", accept).await;
        let Told::Stopped(sent) = hear(&mut heard).await else {
            panic!("the service was not stopped");
        };
        assert!(sent < 24 * 1024 * 1024, "{sent} bytes went to nobody");
        // All of it is there for who reads after all.
        let text = answer.rest().await;
        assert!(text.len() >= sent - sent / 100, "{} of {sent}", text.len());
        assert!(!text.contains("Code"), "it ends well");
    }
}

#[tokio::test]
async fn many_streams_at_a_time() {
    let (_platform, door, _heard) = open().await;
    let streams = (0..200).map(|_| async {
        let answer = Streaming::get(door.address, "/things/count", None).await;
        values(&answer.rest().await).len()
    });
    let counts = futures::future::join_all(streams).await;
    assert!(counts.iter().all(|&count| count == 3), "{counts:?}");
}
