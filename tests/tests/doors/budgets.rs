//! Half-sent messages: they take no more memory than they may, and nobody else has to wait.

use bytes::{BufMut, Bytes, BytesMut};
use http::StatusCode;
use micro_gateway::Settings;
use micro_route::Budget;
use micro_tests::{PATIENCE, wait_for};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    node::{Client, answer},
    platform::Platform,
};

const MIB: usize = 1024 * 1024;
const LIST: &str = "/registry.Registry/ListServices";

/// The start of a message that announces 16 MiB.
fn half(bytes: usize) -> Bytes {
    let mut half = BytesMut::from(&[0, 0xff, 0xff, 0xff][..1]);
    half.put_u32(16 * MIB as u32);
    half.put_bytes(7, bytes);
    half.freeze()
}

#[tokio::test]
async fn half_sent_messages_take_their_share_and_others_are_served() {
    let platform = Platform::start().await;
    let budget = Budget::new(12 * MIB, 8 * MIB);
    let door = platform.proxy_with(budget.clone()).await;
    let greedy = Client::connect(door.address).await;
    let mut calls = Vec::new();
    for _ in 0..64 {
        let mut call = greedy.start("/store.Store/Write", &[]);
        call.request.send_data(half(MIB), false).unwrap();
        calls.push(call);
    }
    // Those beyond the share are told so; the rest waits for more.
    let mut refused = 0;
    wait_for("the share to be taken", || async {
        (budget.taken() > 4 * MIB).then_some(())
    })
    .await;
    for call in &mut calls {
        let answered = timeout(std::time::Duration::from_millis(100), &mut call.response);
        if let Ok(response) = answered.await {
            let status = tonic::Status::from_header_map(response.unwrap().headers()).unwrap();
            assert_eq!(status.code(), tonic::Code::ResourceExhausted, "{status:?}");
            let error = micro_wire::Error::from_status(&status);
            assert_eq!(error.code, 429);
            assert!(error.detail.contains("this connection"), "{}", error.detail);
            refused += 1;
        }
        assert!(budget.taken() <= 8 * MIB);
    }
    assert!(refused > 40, "{refused} of 64");
    // Another connection, the greedy one itself, and a message of its own.
    let other = Client::connect(door.address).await;
    for client in [&other, &greedy] {
        let answer = client.call(LIST, &[], &[0u8; 5][..]).await.unwrap();
        assert_eq!(answer.trailer("grpc-status"), Some("0"));
    }
    // All connections together have the total.
    let mut more = Vec::new();
    for _ in 0..16 {
        let mut call = other.start("/store.Store/Write", &[]);
        call.request.send_data(half(MIB), false).unwrap();
        more.push(call);
    }
    let mut told = None;
    for call in more.drain(..) {
        let answered = timeout(std::time::Duration::from_millis(500), answer(call.response));
        if let Ok(Ok(answer)) = answered.await {
            told = Some(answer.error().1);
            break;
        }
    }
    let told = told.expect("somebody is told");
    assert!([429, 503].contains(&told.code), "{told}");
    assert!(budget.taken() <= 12 * MIB);
    drop((greedy, other, calls, more));
    wait_for("all to be given back", || async {
        (budget.taken() == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn large_messages_arrive_whole_within_their_budget() {
    let platform = Platform::start().await;
    let budget = Budget::new(40 * MIB, 20 * MIB);
    let door = platform.proxy_with(budget.clone()).await;
    let client = Client::connect(door.address).await;
    // A field that ListServices does not know, of 15 MiB: read, and passed over.
    let mut message = BytesMut::new();
    message.put_slice(&[0x9a, 0x06]);
    prost::encoding::encode_varint(15 * MIB as u64, &mut message);
    message.put_bytes(1, 15 * MIB);
    let body = micro_wire::frame::encode(message.freeze());
    for _ in 0..3 {
        let mut call = client.start(LIST, &[]);
        call.request.send_data(body.clone(), true).unwrap();
        let answer = answer(call.response).await.unwrap();
        assert_eq!(answer.trailer("grpc-status"), Some("0"));
    }
    assert_eq!(budget.taken(), 0);
}

#[tokio::test]
async fn half_sent_bodies_at_the_gateway() {
    let platform = Platform::start().await;
    let budget = Budget::new(4 * MIB, 2 * MIB);
    let door = platform
        .gateway_within(Settings::default(), budget.clone())
        .await;
    let mut greedy = Vec::new();
    for _ in 0..16 {
        let mut socket = TcpStream::connect(door.address).await.unwrap();
        let head = format!(
            "POST /store/write HTTP/1.1\r\nhost: {}\r\ncontent-length: 16000000\r\n\r\n",
            door.address
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        // The door may have had enough already.
        let _ = socket.write_all(&vec![b' '; MIB]).await;
        greedy.push(socket);
    }
    let mut texts = Vec::new();
    for mut socket in greedy {
        assert!(budget.taken() <= 4 * MIB);
        let mut text = String::new();
        let _ = timeout(PATIENCE, socket.read_to_string(&mut text)).await;
        texts.push(text);
    }
    // Some were refused, the others did not go on.
    let count = |status: &str| texts.iter().filter(|it| it.starts_with(status)).count();
    let (busy, late) = (count("HTTP/1.1 503"), count("HTTP/1.1 408"));
    assert!(busy > 0 && late > 0, "{texts:?}");
    assert_eq!(budget.taken(), 0);
    let request = http::Request::get(format!("http://{}/registry/listServices", door.address));
    let answer = micro_tests::fetch(request.body("").unwrap()).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn half_sent_frames_of_websockets() {
    let platform = Platform::start().await;
    let _heard = crate::streamer::things(&platform).await;
    let budget = Budget::new(20 * MIB, 18 * MIB);
    let door = platform
        .gateway_within(Settings::default(), budget.clone())
        .await;
    let mut sockets = Vec::new();
    let mut ends = Vec::new();
    for _ in 0..3 {
        let mut socket = TcpStream::connect(door.address).await.unwrap();
        let head = format!(
            "GET /things/echo HTTP/1.1\r\nhost: {}\r\nconnection: upgrade\r\n\
             upgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            door.address
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        // A masked binary frame of 16 MiB, of which nearly nothing comes.
        let mut frame = vec![0x82, 0xff];
        frame.extend((16 * MIB as u64).to_be_bytes());
        frame.extend([1, 2, 3, 4, b'x']);
        socket.write_all(&frame).await.unwrap();
        sockets.push(socket);
    }
    for mut socket in sockets {
        let mut bytes = Vec::new();
        let read = socket.read_to_end(&mut bytes);
        if timeout(std::time::Duration::from_secs(3), read)
            .await
            .is_ok()
        {
            ends.push(String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    assert!(!ends.is_empty(), "two of three are refused");
    for end in ends {
        assert!(end.starts_with("HTTP/1.1 101"), "{end}");
        assert!(end.contains("\"Code\":503"), "{end}");
    }
}
