//! Calls over websockets through the HTTP door.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::{HeaderValue, Response};
use micro_gateway::{Settings, Websockets};
use micro_tests::PATIENCE;
use prost::Message as _;
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest, protocol::CloseFrame},
};

use crate::{
    platform::{Door, Platform},
    service::{Hello, Reply, endpoints, helloworld},
    streamer::{Heard, Told, hear, things},
};

/// A client of a websocket.
struct Client {
    socket: WebSocketStream<TcpStream>,
    opened: Response<Option<Vec<u8>>>,
}

impl Client {
    async fn open(address: SocketAddr, path: &str) -> Self {
        Self::try_open(address, path, &[]).await.unwrap()
    }

    /// Opens a websocket, or gives the answer of a door that opens none.
    async fn try_open(
        address: SocketAddr,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, Response<Option<Vec<u8>>>> {
        let mut request = format!("ws://{address}{path}")
            .into_client_request()
            .unwrap();
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).unwrap();
            request.headers_mut().insert(*name, value);
        }
        let socket = TcpStream::connect(address).await.unwrap();
        match timeout(PATIENCE, client_async(request, socket))
            .await
            .unwrap()
        {
            Ok((socket, opened)) => Ok(Self { socket, opened }),
            Err(Error::Http(answer)) => Err(*answer),
            Err(error) => panic!("{path}: {error}"),
        }
    }

    async fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    async fn next(&mut self) -> Message {
        let next = timeout(PATIENCE, self.socket.next()).await;
        next.expect("a frame").unwrap().unwrap()
    }

    /// The next frame, which has to be JSON text.
    async fn json(&mut self) -> Value {
        match self.next().await {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("{other:?} is no text"),
        }
    }

    /// The code and the reason with which the door closes, next.
    async fn closed(&mut self) -> (u16, String) {
        match self.next().await {
            Message::Close(Some(CloseFrame { code, reason })) => {
                (code.into(), reason.as_str().to_owned())
            }
            other => panic!("{other:?} is no end"),
        }
    }
}

async fn open() -> (Platform, Door, Heard) {
    open_with(Settings::default()).await
}

async fn open_with(settings: Settings) -> (Platform, Door, Heard) {
    let platform = Platform::start().await;
    let heard = things(&platform).await;
    platform
        .register_with("helloworld", &[helloworld(false).await], endpoints())
        .await;
    let door = platform.gateway_with(settings).await;
    (platform, door, heard)
}

const OK: (u16, String) = (1000, String::new());

#[tokio::test]
async fn both_sides_talk_and_an_empty_text_ends_the_requests() {
    let (_platform, door, mut heard) = open().await;
    let mut client = Client::open(door.address, "/things/echo").await;
    let long = format!("{{\"x\":\"{}\"}}", "é☃".repeat(220_000));
    assert!(long.len() > 1024 * 1024);
    for text in ["{\"stroke\":1}", "{\"x\":\"é ☃ 𝄞\"}", &long] {
        client.send(text).await;
        assert_eq!(hear(&mut heard).await, Told::Got(Some(text.to_owned())));
        let want: Value = serde_json::from_str(text).unwrap();
        assert_eq!(client.json().await, want);
    }
    client
        .socket
        .send(Message::Ping("hi".into()))
        .await
        .unwrap();
    assert_eq!(client.next().await, Message::Pong("hi".into()));
    client.send("").await;
    assert_eq!(hear(&mut heard).await, Told::Got(None));
    assert_eq!(client.closed().await, OK);
}

#[tokio::test]
async fn calls_with_one_request() {
    let (_platform, door, mut heard) = open().await;
    let mut client = Client::open(door.address, "/helloworld/call").await;
    client.send("{\"name\":\"Joe\"}").await;
    assert_eq!(client.json().await, json!({"msg": "Hello Joe"}));
    assert_eq!(client.closed().await, OK);
    // The query is the request.
    for path in ["/helloworld/call?name=Joe", "/helloworld?name=Joe"] {
        let mut client = Client::open(door.address, path).await;
        assert_eq!(client.json().await, json!({"msg": "Hello Joe"}));
        assert_eq!(client.closed().await, OK);
    }
    // A stream of answers, whose service waits for the end of the requests.
    let mut client = Client::open(door.address, "/helloworld/stream?count=3").await;
    for count in 0..3 {
        assert_eq!(client.json().await, json!({"msg": count.to_string()}));
    }
    assert_eq!(client.closed().await, OK);
    let mut client = Client::open(door.address, "/helloworld/stream").await;
    client.send("{\"count\":\"1\"}").await;
    assert_eq!(client.json().await, json!({"msg": "0"}));
    assert_eq!(client.closed().await, OK);
    // Of a service that does not describe itself it is not known.
    let mut client = Client::open(door.address, "/things/tell?x=1").await;
    let head = Told::Head("application/grpc+json".into(), None);
    assert_eq!(hear(&mut heard).await, head);
    assert_eq!(client.json().await, json!({"authorization": ""}));
    // A core service.
    let mut client = Client::open(door.address, "/registry/listServices").await;
    client.send("{}").await;
    assert!(client.json().await["services"].is_array());
    assert_eq!(client.closed().await, OK);
    let mut client = Client::open(door.address, "/helloworld/call").await;
    client.send("{\"name\":\"hang\"}").await;
    client.send("{\"name\":\"two\"}").await;
    assert_eq!(client.json().await["Code"], 400);
    let (code, reason) = client.closed().await;
    assert_eq!(code, 1007);
    assert!(reason.contains("takes one message"), "{reason}");
}

#[tokio::test]
async fn protobuf_by_the_first_frame_and_by_subprotocol() {
    let (_platform, door, mut heard) = open().await;
    let hello = Hello {
        name: "P".into(),
        count: 0,
    };
    let hello = Bytes::from(hello.encode_to_vec());
    let protocol = [("sec-websocket-protocol", "micro.proto")];
    for headers in [&[][..], &protocol] {
        let client = Client::try_open(door.address, "/helloworld/call", headers).await;
        let mut client = client.unwrap();
        let binary = Message::Binary(hello.clone());
        client.socket.send(binary).await.unwrap();
        let Message::Binary(reply) = client.next().await else {
            panic!("not in protobuf");
        };
        assert_eq!(Reply::decode(reply).unwrap().msg, "Hello P");
        assert_eq!(client.closed().await, OK);
    }
    // JSON in binary frames is what clients of Micro v3 may send.
    let mut client = Client::open(door.address, "/helloworld/call").await;
    let binary = Message::binary(&b"{\"name\":\"B\"}"[..]);
    client.socket.send(binary).await.unwrap();
    assert_eq!(client.json().await, json!({"msg": "Hello B"}));
    // The service may speak first where the client has said how it speaks.
    let client = Client::try_open(door.address, "/things/tell", &protocol).await;
    let client = client.unwrap();
    let head = Told::Head("application/grpc+proto".into(), None);
    assert_eq!(hear(&mut heard).await, head);
    let chosen = &client.opened.headers()["sec-websocket-protocol"];
    assert_eq!(chosen, "micro.proto");
    let mut mixed = Client::try_open(door.address, "/things/echo", &protocol)
        .await
        .unwrap();
    mixed.send("{}").await;
    assert_eq!(mixed.json().await["Code"], 400);
    assert_eq!(mixed.closed().await.0, 1007);
}

#[tokio::test]
async fn failures() {
    let (_platform, door, _heard) = open().await;
    let error = json!({
        "Id": "things", "Code": 409, "Detail": "taken already", "Status": "Conflict",
    });
    let mut client = Client::open(door.address, "/things/fail?x=1").await;
    assert_eq!(client.json().await, json!({"one": 1}));
    assert_eq!(client.json().await, error);
    assert_eq!(client.closed().await, (1011, "taken already".into()));
    let mut client = Client::open(door.address, "/things/refuse?x=1").await;
    assert_eq!(client.json().await, error);
    assert_eq!(client.closed().await, (1011, "taken already".into()));
    // The service is gone in the middle.
    let mut client = Client::open(door.address, "/things/die").await;
    client.send("{}").await;
    assert_eq!(client.json().await, json!({"one": 1}));
    assert_eq!(client.json().await["Code"], 502);
    let (code, reason) = client.closed().await;
    assert_eq!(code, 1011);
    assert!(reason.starts_with("the service broke off"), "{reason}");
    for (text, code, detail) in [
        ("{bad", 1007, "line 1 column 2"),
        ("[1]", 1007, "must be a JSON object"),
    ] {
        let mut client = Client::open(door.address, "/things/echo").await;
        client.send(text).await;
        assert_eq!(client.json().await["Code"], 400, "{text}");
        let (got, reason) = client.closed().await;
        assert_eq!(got, code, "{text}");
        assert!(reason.contains(detail), "{reason}");
    }
    let mut client = Client::open(door.address, "/store/list").await;
    client.send("{}").await;
    assert_eq!(client.json().await["Code"], 401);
    assert_eq!(
        client.closed().await,
        (1008, "An account is required".into())
    );
    // Before it is a websocket.
    for (path, headers, status) in [
        ("/nosuch/call", &[][..], 404),
        ("/things/echo?flag", &[], 400),
        ("/things/echo", &[("authorization", "bad")], 401),
        ("/things/echo", &[("host", "evil.example")], 421),
        ("/things/echo", &[("sec-websocket-version", "8")], 426),
    ] {
        let refused = Client::try_open(door.address, path, headers).await;
        let refused = refused
            .err()
            .unwrap_or_else(|| panic!("{path} {headers:?}"));
        assert_eq!(refused.status(), status, "{path} {headers:?}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_call() {
    let (_platform, door, mut heard) = open().await;
    for politely in [true, false] {
        let mut client = Client::open(door.address, "/things/hang?x=1").await;
        assert_eq!(client.json().await, json!({"one": 1}));
        if politely {
            client.socket.close(None).await.unwrap();
        }
        drop(client);
        assert_eq!(hear(&mut heard).await, Told::Cancelled);
    }
}

#[tokio::test]
async fn a_slow_reader_stops_the_service_and_a_slow_service_the_client() {
    let (_platform, door, mut heard) = open().await;
    let mut client = Client::open(door.address, "/things/flood?x=1").await;
    let Told::Stopped(sent) = hear(&mut heard).await else {
        panic!("the service was not stopped");
    };
    assert!(sent < 24 * 1024 * 1024, "{sent} bytes went to nobody");
    let mut got = 0;
    loop {
        match client.next().await {
            Message::Text(text) => got += text.len(),
            Message::Close(Some(frame)) => break assert_eq!(u16::from(frame.code), 1000),
            _ => {}
        }
    }
    assert!(got >= sent - sent / 100, "{got} of {sent}");
    // A service that reads nothing.
    let mut client = Client::open(door.address, "/things/deaf").await;
    let text = format!("{{\"text\":\"{}\"}}", "x".repeat(256 * 1024));
    let mut total = 0;
    while total < 64 * 1024 * 1024 {
        let sent = client.socket.send(Message::text(text.as_str()));
        if timeout(Duration::from_millis(500), sent).await.is_err() {
            break;
        }
        total += text.len();
    }
    assert!(total < 24 * 1024 * 1024, "{total} bytes went to nobody");
    assert_eq!(client.json().await, json!({"one": 1}), "answers still come");
    drop(client);
    assert_eq!(hear(&mut heard).await, Told::Cancelled);
}

#[tokio::test]
async fn a_message_that_is_too_large() {
    let (_platform, door, _heard) = open().await;
    let mut client = Client::open(door.address, "/things/echo").await;
    let large = Message::binary(vec![b'{'; 17 * 1024 * 1024]);
    // The door may have had enough before all is sent.
    let _ = timeout(PATIENCE, client.socket.send(large)).await;
    assert_eq!(client.json().await["Code"], 413);
    assert_eq!(client.closed().await.0, 1009);
}

#[tokio::test]
async fn tokens_and_pages_of_other_sites() {
    let (_platform, door, _heard) = open().await;
    let own = format!("http://{}", door.address);
    let token = ("sec-websocket-protocol", "micro.json, bearer.T");
    let cookie = ("cookie", "micro-token=C");
    let evil = ("origin", "https://evil.example");
    for (headers, authorization, cookies) in [
        (vec![], "", ""),
        (vec![token], "Bearer T", ""),
        (vec![("authorization", "Bearer A")], "Bearer A", ""),
        (vec![cookie], "Bearer C", "micro-token=C"),
        (vec![cookie, ("origin", &own)], "Bearer C", "micro-token=C"),
        (vec![cookie, evil], "", ""),
        (vec![("authorization", "Bearer A"), evil], "", ""),
        (vec![cookie, token, evil], "Bearer T", ""),
    ] {
        let mut all = headers.clone();
        all.push(("foobar", "baz"));
        let client = Client::try_open(door.address, "/things/tell?x=1", &all).await;
        let mut client = client.unwrap();
        assert_eq!(
            client.json().await,
            json!({"authorization": authorization}),
            "{headers:?}"
        );
        assert_eq!(
            client.json().await,
            json!({"cookie": cookies}),
            "{headers:?}"
        );
        assert_eq!(client.json().await, json!({"foobar": "baz"}));
        assert_eq!(client.json().await, json!({"sec-websocket-protocol": ""}));
        if headers.contains(&token) {
            let chosen = &client.opened.headers()["sec-websocket-protocol"];
            assert_eq!(chosen, "micro.json", "and the token is not repeated");
        }
    }
}

#[tokio::test]
async fn there_are_only_so_many() {
    let settings = Settings {
        websockets: Websockets::new(1),
        ..Settings::default()
    };
    let (_platform, door, mut heard) = open_with(settings).await;
    let client = Client::open(door.address, "/things/hang?x=1").await;
    let refused = Client::try_open(door.address, "/things/echo", &[]).await;
    let refused = refused.err().expect("one is open already");
    assert_eq!(refused.status(), 503);
    let body = String::from_utf8(refused.into_body().unwrap_or_default()).unwrap();
    assert!(
        body.is_empty() || body.contains("1 websockets are open"),
        "{body}"
    );
    drop(client);
    assert_eq!(hear(&mut heard).await, Told::Cancelled);
    micro_tests::wait_for("a free websocket", || async {
        let open = Client::try_open(door.address, "/things/echo", &[]).await;
        open.ok()
    })
    .await;
}

#[tokio::test]
async fn a_closing_door_says_goodbye() {
    let (_platform, mut door, mut heard) = open().await;
    let mut client = Client::open(door.address, "/things/hang?x=1").await;
    assert_eq!(client.json().await, json!({"one": 1}));
    door.stop();
    assert_eq!(
        client.closed().await,
        (1001, "the server is shutting down".into())
    );
    assert_eq!(hear(&mut heard).await, Told::Cancelled);
    drop(client);
    timeout(PATIENCE, &mut door.served).await.unwrap().unwrap();
}

#[tokio::test]
async fn many_at_a_time() {
    let (_platform, door, _heard) = open().await;
    let talks = (0..150).map(|number| {
        let address = door.address;
        async move {
            let mut client = Client::open(address, "/things/echo").await;
            for turn in 0..10 {
                let text = json!({"from": number, "turn": turn});
                client.send(&text.to_string()).await;
                assert_eq!(client.json().await, text);
            }
            client.send("").await;
            client.closed().await
        }
    });
    let ends = futures::future::join_all(talks).await;
    assert!(ends.iter().all(|end| *end == OK));
}
