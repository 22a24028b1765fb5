//! Streams and half-sent messages at the doors of the real server, with services that it runs.

use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result};
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use micro_tests::{PATIENCE, Server, ServerBuilder, profile, program, wait_for};
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

/// Begins to read an answer of the gateway.
async fn get(server: &Server, path: &str, accept: &str) -> Result<Incoming> {
    let socket = TcpStream::connect(server.api()).await?;
    let (mut send, connection) = http1::handshake(TokioIo::new(socket)).await?;
    tokio::spawn(connection);
    let request = Request::get(path)
        .header("host", server.api().to_string())
        .header("accept", accept)
        .body(Full::<Bytes>::default())?;
    let response = send.send_request(request).await?;
    assert_eq!(response.status(), 200, "{path}");
    Ok(response.into_body())
}

/// All of a body, as text.
async fn text(body: Incoming) -> Result<String> {
    let body = timeout(PATIENCE, body.collect()).await??.to_bytes();
    Ok(String::from_utf8(body.to_vec())?)
}

async fn websocket(server: &Server, path: &str) -> Result<WebSocketStream<TcpStream>> {
    let socket = TcpStream::connect(server.api()).await?;
    let (client, _) = client_async(format!("ws://{}{path}", server.api()), socket).await?;
    Ok(client)
}

async fn next(client: &mut WebSocketStream<TcpStream>) -> Result<Message> {
    let frame = timeout(PATIENCE, client.next()).await?;
    Ok(frame.context("the end of the websocket")??)
}

async fn next_json(client: &mut WebSocketStream<TcpStream>) -> Result<Value> {
    Ok(serde_json::from_str(next(client).await?.to_text()?)?)
}

#[tokio::test]
async fn a_service_streams_to_browsers_and_scripts() -> Result<()> {
    let mut server = Server::start(&profile()).await;
    server.login().await;
    server.run_example("helloworld").await.success();

    let counted = get(&server, "/helloworld/stream?count=3", "*/*").await?;
    let counted = text(counted).await?;
    let values: Vec<Value> = serde_json::Deserializer::from_str(&counted)
        .into_iter()
        .collect::<Result<_, _>>()?;
    let want = [
        json!({"count": "0"}),
        json!({"count": "1"}),
        json!({"count": "2"}),
    ];
    assert_eq!(values, want, "{counted}");
    assert!(!counted.contains('\n'), "{counted}");
    let events = get(&server, "/helloworld/stream?count=2", "text/event-stream").await?;
    assert_eq!(
        text(events).await?,
        "data: {\"count\":\"0\"}\n\ndata: {\"count\":\"1\"}\n\n"
    );

    // One request, and many answers.
    let mut client = websocket(&server, "/helloworld/stream?count=2").await?;
    assert_eq!(next_json(&mut client).await?, json!({"count": "0"}));
    assert_eq!(next_json(&mut client).await?, json!({"count": "1"}));
    assert!(matches!(next(&mut client).await?, Message::Close(_)));
    // Both at once.
    let mut client = websocket(&server, "/helloworld/pingPong").await?;
    for stroke in ["1", "2", "3"] {
        let text = json!({ "stroke": stroke });
        client.send(Message::text(text.to_string())).await?;
        assert_eq!(next_json(&mut client).await?, text);
    }
    client.send(Message::text("")).await?;
    assert!(matches!(next(&mut client).await?, Message::Close(_)));

    // The service dies while it streams, slowly, since nobody reads so much.
    let endless = "/helloworld/stream?count=9000000000000000000";
    let mut streaming = get(&server, endless, "*/*").await?;
    let mut socket = websocket(&server, endless).await?;
    assert_eq!(next_json(&mut socket).await?, json!({"count": "0"}));
    streaming.frame().await.context("it streams")??;
    server.micro(["kill", "helloworld"]).await.success();
    let deadline = Instant::now() + PATIENCE;
    let mut last = String::new();
    while let Some(frame) = tokio::time::timeout_at(deadline, streaming.frame()).await? {
        let data = frame?.into_data().unwrap_or_default();
        last.push_str(std::str::from_utf8(&data)?);
        let start = last.ceil_char_boundary(last.len().saturating_sub(1000));
        last.drain(..start);
    }
    assert!(last.contains("\"Code\":50"), "{last}");
    let mut error = Value::Null;
    let end = loop {
        let frame = tokio::time::timeout_at(deadline, socket.next()).await?;
        match frame.context("a websocket that says goodbye")?? {
            Message::Close(end) => break end,
            Message::Text(text) => {
                let text: Value = serde_json::from_str(&text)?;
                error = text;
            }
            _ => {}
        }
    };
    assert!(error["Code"].as_i64() >= Some(500), "{error}");
    let code = end.context("a reason to close")?.code;
    assert!([1011, 1013].contains(&u16::from(code)), "{code}");
    assert!(server.stop().await.success());
    Ok(())
}

/// How much address space the server gets, in KiB.
const LIMIT: u64 = 4 * 1024 * 1024;

#[tokio::test]
async fn half_sent_messages_do_not_end_a_server_with_little_memory() -> Result<()> {
    let builder = ServerBuilder::new(&profile());
    let script = builder.write(
        "limited",
        &format!(
            "#!/bin/sh\nulimit -v {LIMIT}\nexec {} \"$@\"\n",
            program("micro").display()
        ),
    );
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))?;
    let mut server = builder.installed(script).start().await;
    // Far more than it has, announced and in part sent, on connections of both kinds.
    let mut kept = Vec::new();
    for door in [server.proxy(), server.network()] {
        for _ in 0..4 {
            let (send, connection) = h2::client::handshake(TcpStream::connect(door).await?).await?;
            tokio::spawn(connection);
            for _ in 0..200 {
                let mut send = send.clone().ready().await?;
                let request = Request::post(format!("http://{door}/store.Store/Write"))
                    .header("content-type", "application/grpc")
                    .body(())?;
                let (response, mut body) = send.send_request(request, false)?;
                let mut half = vec![0, 1, 0, 0, 0];
                half.resize(256 * 1024, 7);
                body.send_data(half.into(), false)?;
                kept.push((response, body));
            }
        }
    }
    let mut sockets = Vec::new();
    for _ in 0..400 {
        let mut client = TcpStream::connect(server.api()).await?;
        let head = format!(
            "GET /registry/watch HTTP/1.1\r\nhost: {}\r\nconnection: upgrade\r\n\
             upgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            server.api()
        );
        let mut bytes = head.into_bytes();
        bytes.extend([0x82, 0xff, 0, 0, 0, 0, 1, 0, 0, 0, 1, 2, 3, 4]);
        tokio::io::AsyncWriteExt::write_all(&mut client, &bytes).await?;
        sockets.push(client);
    }
    // Others are served meanwhile.
    for _ in 0..20 {
        let answer = server.get("/registry/listServices").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert!(server.process().status().is_none(), "the server is there");
    drop((kept, sockets));
    wait_for("an ordinary write", || async {
        let answer = server.post("/store/write", "{}").await;
        (answer.status == 401).then_some(())
    })
    .await;
    assert!(server.stop().await.success());
    Ok(())
}

#[tokio::test]
async fn streams_end_with_a_word_when_the_server_stops() -> Result<()> {
    let mut server = Server::start(&profile()).await;
    let door = server.proxy();
    let (send, connection) = h2::client::handshake(TcpStream::connect(door).await?).await?;
    tokio::spawn(connection);
    let request = Request::post(format!("http://{door}/registry.Registry/Watch"))
        .header("content-type", "application/grpc")
        .body(())?;
    let (answer, mut body) = send.ready().await?.send_request(request, false)?;
    body.send_data(vec![0; 5].into(), true)?;
    let mut answer = timeout(PATIENCE, answer).await??.into_body();
    assert!(server.stop().await.success());
    let end = async {
        // The server tells of its own services that they go, if there is time.
        while let Some(change) = answer.data().await {
            change?;
        }
        answer.trailers().await
    };
    let trailers = timeout(PATIENCE, end).await??;
    let trailers = trailers.context("an end with a status")?;
    assert_eq!(trailers["grpc-status"], "14");
    let message = trailers["grpc-message"].to_str()?;
    assert!(message.contains("stopping"), "{message}");
    assert!(!server.log().contains("cutting off"), "{}", server.log());
    Ok(())
}
