//! Bytes that no well-meant client sends, slow clients, and doors that close.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::join_all;
use micro_tests::PATIENCE;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    node::{Client, answer},
    platform::Platform,
    transparency::{PATH, things},
};

/// Sends bytes and reads until the door ends the connection, which it does after 5 seconds.
async fn throw(address: std::net::SocketAddr, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let started = Instant::now();
    // The door may have had enough already.
    let _ = socket.write_all(bytes).await;
    let mut got = Vec::new();
    let read = timeout(PATIENCE, socket.read_to_end(&mut got)).await;
    assert!(read.is_ok(), "the door still listens to {bytes:?}");
    assert!(
        started.elapsed() < Duration::from_secs(25),
        "{bytes:?}: {:?}",
        started.elapsed()
    );
    String::from_utf8_lossy(&got).into_owned()
}

#[tokio::test]
async fn garbage_gets_an_error_and_the_doors_go_on() {
    let platform = Platform::start().await;
    for door in [platform.proxy().await, platform.gateway().await] {
        let mut preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        preface.extend([0xff; 64]);
        let thrown = [
            &b"\x00\x01\x02\x03 binary garbage"[..],
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello",
            b"GARBAGE",
            b"PRI * HTTP/2.0\r\n\r\nno",
            b"PRI * HTT",
            b"GET / HTTP/1.1\r\nhost: localhost\r\nslow",
            b"GET / HTTP/9.9\r\n\r\n",
            &preface,
        ];
        let address = door.address;
        join_all(thrown.map(|bytes| async move {
            let got = throw(address, bytes).await;
            assert!(!got.starts_with("HTTP/1.1 2"), "{bytes:?}: {got}");
        }))
        .await;
        // Still there.
        let client = Client::connect(door.address).await;
        assert!(
            client
                .call("/registry.Registry/ListServices", &[], &[0u8; 5][..])
                .await
                .is_ok()
        );
    }
}

#[tokio::test]
async fn http1_at_the_grpc_door_is_told_where_to_go() {
    let platform = Platform::start().await;
    let door = platform.proxy().await;
    let request = b"GET /helloworld HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let got = throw(door.address, request).await;
    assert!(got.starts_with("HTTP/1.1 426 "), "{got}");
    assert!(got.contains("use the gateway"), "{got}");
    // HTTP/2, but no gRPC.
    let client = Client::connect(door.address).await;
    let answer = client
        .call(PATH, &[("content-type", "text/plain")], "x")
        .await
        .unwrap();
    assert_eq!(answer.head.status, 415);
}

#[tokio::test]
async fn the_proxys_own_errors() {
    let platform = Platform::start().await;
    let door = platform.proxy().await;
    let client = Client::connect(door.address).await;
    for (path, headers, code, id, detail) in [
        (
            "/Helloworld/Call",
            &[][..],
            400,
            "go.micro.proxy",
            "service name is blank",
        ),
        (
            "/a.b.Foo/Bar/Baz",
            &[],
            400,
            "",
            "malformed method name: \"/a.b.Foo/Bar/Baz\"",
        ),
        (
            "/registry.Registry/ListServices",
            &[("authorization", "bad")],
            401,
            "registry",
            "invalid authorization header. Expected Bearer or Basic schema",
        ),
    ] {
        let (_, error) = client
            .call(path, headers, &[0u8; 5][..])
            .await
            .unwrap()
            .error();
        let got = (error.code, error.id.as_str(), error.detail.as_str());
        assert_eq!(got, (code, id, detail), "{path}");
    }
    let bad_token = [("authorization", "Bearer nonsense")];
    let answer = client
        .call("/registry.Registry/ListServices", &bad_token, &[0u8; 5][..])
        .await;
    assert_eq!(
        answer.unwrap().trailer("grpc-status"),
        Some("0"),
        "an invalid token is anonymous"
    );
}

#[tokio::test]
async fn a_closing_door_lets_calls_finish() {
    let (go, gone) = tokio::sync::watch::channel(false);
    let (_platform, mut door, client) = things(move |mut call| {
        let mut gone = gone.clone();
        async move {
            let mut stream = call.head(&[], false);
            stream.send_data("one".into(), false).unwrap();
            gone.wait_for(|go| *go).await.unwrap();
            stream.send_data("two".into(), false).unwrap();
            let trailers = crate::node::trailers(&[("grpc-status", "0")]);
            stream.send_trailers(trailers).unwrap();
        }
    })
    .await;
    let mut calling = client.start(PATH, &[]);
    calling.request.send_data(Bytes::new(), true).unwrap();
    let response = calling.response;
    let reading = tokio::spawn(answer(response));
    // Wait until the call is under way.
    let other = client
        .call("/registry.Registry/ListServices", &[], &[0u8; 5][..])
        .await;
    assert!(other.is_ok());
    door.stop();
    micro_tests::wait_for("the listener to close", || async {
        TcpStream::connect(door.address)
            .await
            .is_err()
            .then_some(())
    })
    .await;
    assert!(!door.served.is_finished(), "it waits for the call");
    go.send(true).unwrap();
    let answer = timeout(PATIENCE, reading).await.unwrap().unwrap().unwrap();
    assert_eq!(answer.body, "onetwo");
    assert_eq!(answer.trailer("grpc-status"), Some("0"));
    timeout(PATIENCE, &mut door.served).await.unwrap().unwrap();
}
