//! What passes through the proxy: everything, undecoded, both ways.

use std::time::Duration;

use bytes::Bytes;
use micro_tests::PATIENCE;
use tokio::{sync::mpsc, time::timeout};

use crate::{
    node::{Client, Incoming, answer, node, trailers},
    platform::{Door, Platform},
};

pub(crate) const PATH: &str = "/things.Things/Do";

/// A platform with a service `things` at one node.
pub(crate) async fn things<F, Fut>(handle: F) -> (Platform, Door, Client)
where
    F: Fn(Incoming) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let platform = Platform::start().await;
    platform.register("things", &[node(handle).await]).await;
    let door = platform.proxy().await;
    let client = Client::connect(door.address).await;
    (platform, door, client)
}

#[tokio::test]
async fn unary_calls_pass_whole() {
    let (_platform, _door, client) = things(|mut call| async move {
        let (uri, headers) = (call.request.uri().clone(), call.request.headers().clone());
        assert_eq!(uri.path(), PATH);
        let get = |name: &str| headers.get(name).map(|value| value.to_str().unwrap());
        assert_eq!(get("content-type"), Some("application/grpc+proto"));
        assert_eq!(get("te"), Some("trailers"));
        assert_eq!(get("key-bin"), Some("AAEC"));
        assert_eq!(get("grpc-encoding"), Some("gzip"));
        assert_eq!(get("foobar"), Some("a"));
        assert_eq!(get("micro-namespace"), Some("micro"));
        assert_eq!(headers.get_all("twice").iter().count(), 2);
        assert_eq!(call.body().await, &b"\x01\0\0\0\x03\xff\xfe\xfd"[..]);
        let authority = uri.authority().unwrap().as_str();
        let mut stream = call.head(&[("answer-bin", "AwQ"), ("authority", authority)], false);
        stream
            .send_data(Bytes::from_static(b"\x01\0\0\0\x01\x80"), false)
            .unwrap();
        stream
            .send_data(Bytes::from_static(b"\0\0\0\0\0"), false)
            .unwrap();
        stream
            .send_trailers(trailers(&[
                ("grpc-status", "0"),
                ("last-bin", "BQ"),
                ("x", "y"),
            ]))
            .unwrap();
    })
    .await;
    let headers = [
        ("content-type", "application/grpc+proto"),
        ("key-bin", "AAEC"),
        ("grpc-encoding", "gzip"),
        ("foobar", "a"),
        ("twice", "1"),
        ("twice", "2"),
    ];
    let answer = client
        .call(PATH, &headers, &b"\x01\0\0\0\x03\xff\xfe\xfd"[..])
        .await;
    let answer = answer.unwrap();
    assert_eq!(answer.head.status, 200);
    assert_eq!(answer.head.headers["answer-bin"], "AwQ");
    assert_ne!(
        answer.head.headers["authority"], "door",
        "the authority is the node's"
    );
    assert_eq!(answer.body, &b"\x01\0\0\0\x01\x80\0\0\0\0\0"[..]);
    assert_eq!(answer.trailer("grpc-status"), Some("0"));
    assert_eq!(answer.trailer("last-bin"), Some("BQ"));
    assert_eq!(answer.trailer("x"), Some("y"));
}

#[tokio::test]
async fn a_status_alone_passes() {
    let (_platform, _door, client) = things(|mut call| async move {
        call.head(
            &[
                ("grpc-status", "9"),
                ("grpc-message", "a%20%25b"),
                ("k", "v"),
            ],
            true,
        );
    })
    .await;
    let answer = client.call(PATH, &[], "x").await.unwrap();
    assert_eq!(answer.head.headers["grpc-status"], "9");
    assert_eq!(answer.head.headers["grpc-message"], "a%20%25b");
    assert_eq!(answer.head.headers["k"], "v");
    assert!(answer.body.is_empty());
}

#[tokio::test]
async fn both_directions_stream_and_half_close() {
    let (_platform, _door, client) = things(|mut call| async move {
        let mut out = call.head(&[], false);
        while let Some(chunk) = call.request.body_mut().data().await {
            out.send_data(chunk.unwrap(), false).unwrap();
        }
        out.send_data(Bytes::from_static(b"closed"), false).unwrap();
        out.send_trailers(trailers(&[("grpc-status", "0")]))
            .unwrap();
    })
    .await;
    let mut calling = client.start(PATH, &[]);
    let mut response = calling.response.await.unwrap();
    for chunk in ["a", "b", "c"] {
        calling.request.send_data(chunk.into(), false).unwrap();
        assert_eq!(response.body_mut().data().await.unwrap().unwrap(), chunk);
    }
    calling.request.send_data(Bytes::new(), true).unwrap();
    assert_eq!(response.body_mut().data().await.unwrap().unwrap(), "closed");
    assert!(response.body_mut().data().await.is_none());
    let trailers = response.body_mut().trailers().await.unwrap().unwrap();
    assert_eq!(trailers["grpc-status"], "0");
}

#[tokio::test]
async fn a_node_may_answer_before_the_request_ends() {
    let (told, mut ended) = mpsc::unbounded_channel();
    let (_platform, _door, client) = things(move |mut call| {
        let told = told.clone();
        async move {
            call.answer("early");
            // The rest of the request is cut off, not waited for.
            while let Some(Ok(_)) = call.request.body_mut().data().await {}
            told.send(()).unwrap();
        }
    })
    .await;
    let mut calling = client.start(PATH, &[]);
    calling.request.send_data("first".into(), false).unwrap();
    let answer = answer(calling.response).await.unwrap();
    assert_eq!(answer.body, "early");
    assert_eq!(answer.trailer("grpc-status"), Some("0"));
    timeout(PATIENCE, ended.recv()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_clients_cancellation_reaches_the_node() {
    let (told, mut seen) = mpsc::unbounded_channel();
    let (_platform, _door, client) = things(move |mut call| {
        let told = told.clone();
        async move {
            let answering = call.request.headers().contains_key("answering");
            let mut stream = answering.then(|| call.head(&[], false));
            told.send("arrived").unwrap();
            let reset = match &mut stream {
                Some(stream) => std::future::poll_fn(|cx| stream.poll_reset(cx)).await,
                None => std::future::poll_fn(|cx| call.respond.poll_reset(cx)).await,
            };
            assert_eq!(reset.unwrap(), h2::Reason::CANCEL);
            told.send("cancelled").unwrap();
        }
    })
    .await;
    for headers in [&[][..], &[("answering", "1")]] {
        let mut calling = client.start(PATH, headers);
        calling.request.send_data("x".into(), false).unwrap();
        assert_eq!(
            timeout(PATIENCE, seen.recv()).await.unwrap(),
            Some("arrived")
        );
        if !headers.is_empty() {
            let response = (&mut calling.response).await.unwrap();
            drop(response);
        }
        calling.request.send_reset(h2::Reason::CANCEL);
        assert_eq!(
            timeout(PATIENCE, seen.recv()).await.unwrap(),
            Some("cancelled")
        );
    }
}

#[tokio::test]
async fn a_nodes_reset_reaches_the_client() {
    let (_platform, _door, client) = things(|mut call| async move {
        let mut stream = call.head(&[], false);
        stream.send_data("some".into(), false).unwrap();
        call.body().await;
        stream.send_reset(h2::Reason::ENHANCE_YOUR_CALM);
    })
    .await;
    let mut calling = client.start(PATH, &[]);
    let mut response = calling.response.await.unwrap();
    assert_eq!(response.body_mut().data().await.unwrap().unwrap(), "some");
    calling.request.send_data(Bytes::new(), true).unwrap();
    let error = response.body_mut().data().await.unwrap().unwrap_err();
    assert_eq!(error.reason(), Some(h2::Reason::ENHANCE_YOUR_CALM));
}

#[tokio::test]
async fn deadlines_end_calls_here_and_there() {
    let (told, mut seen) = mpsc::unbounded_channel();
    let (_platform, _door, client) = things(move |mut call| {
        let told = told.clone();
        async move {
            let headers = call.request.headers().clone();
            let left = micro_wire::metadata::timeout(&headers).unwrap();
            assert!(left <= Duration::from_millis(300), "{left:?}");
            assert!(headers.contains_key("grpc-timeout") && headers.contains_key("timeout"));
            let mut stream = headers
                .contains_key("answering")
                .then(|| call.head(&[], false));
            if let Some(stream) = &mut stream {
                stream.send_data("some".into(), false).unwrap();
            }
            let reset = match &mut stream {
                Some(stream) => std::future::poll_fn(|cx| stream.poll_reset(cx)).await,
                None => std::future::poll_fn(|cx| call.respond.poll_reset(cx)).await,
            };
            told.send(reset.unwrap()).unwrap();
        }
    })
    .await;
    for headers in [
        &[("grpc-timeout", "300m")][..],
        &[("timeout", "300000000")],
        &[("grpc-timeout", "10S"), ("timeout", "200000000")],
        &[("grpc-timeout", "300m"), ("answering", "1")],
    ] {
        let answer = timeout(PATIENCE, client.call(PATH, headers, "x"))
            .await
            .unwrap()
            .unwrap();
        let (code, error) = answer.error();
        assert_eq!((code, error.code), (4, 408), "{headers:?}");
        assert_eq!(error.id, "go.micro.client");
        assert_eq!(error.detail, "context deadline exceeded");
        let streamed = headers.iter().any(|(name, _)| *name == "answering");
        assert_eq!(answer.body, if streamed { "some" } else { "" });
        let reset = timeout(PATIENCE, seen.recv()).await.unwrap().unwrap();
        assert_eq!(reset, h2::Reason::CANCEL);
    }
}

#[tokio::test]
async fn a_slow_reader_stops_the_node() {
    let (told, mut sent) = mpsc::unbounded_channel();
    let (_platform, _door, client) = things(move |mut call| {
        let told = told.clone();
        async move {
            let mut stream = call.head(&[], false);
            let mut total = 0;
            let chunk = Bytes::from(vec![7; 64 * 1024]);
            while total < 64 * 1024 * 1024 {
                stream.reserve_capacity(chunk.len());
                let room = std::future::poll_fn(|cx| stream.poll_capacity(cx));
                match timeout(Duration::from_millis(500), room).await {
                    Ok(Some(Ok(room))) => {
                        stream
                            .send_data(chunk.slice(..room.min(chunk.len())), false)
                            .unwrap();
                        total += room.min(chunk.len());
                    }
                    Ok(_) => break,
                    Err(_) => {
                        // No room for so long: the reader has stopped this.
                        told.send(total).unwrap();
                        break;
                    }
                }
            }
            stream
                .send_trailers(trailers(&[("grpc-status", "0")]))
                .unwrap();
        }
    })
    .await;
    let mut calling = client.start(PATH, &[]);
    calling.request.send_data("x".into(), true).unwrap();
    let mut response = calling.response.await.unwrap();
    let total = timeout(PATIENCE, sent.recv()).await.unwrap().unwrap();
    assert!(
        total < 2 * 1024 * 1024,
        "the node could send {total} bytes to nobody"
    );
    let read = crate::node::all(response.body_mut()).await.unwrap();
    assert_eq!(read.len(), total, "and nothing is lost");
}

#[tokio::test]
async fn a_slow_node_stops_the_client() {
    let (go, gone) = tokio::sync::watch::channel(false);
    let (_platform, _door, client) = things(move |mut call| {
        let mut gone = gone.clone();
        async move {
            gone.wait_for(|go| *go).await.unwrap();
            let got = call.body().await.len();
            call.answer(got.to_string());
        }
    })
    .await;
    let mut calling = client.start(PATH, &[]);
    let chunk = Bytes::from(vec![7; 64 * 1024]);
    let mut total = 0;
    while total < 64 * 1024 * 1024 {
        calling.request.reserve_capacity(chunk.len());
        let room = std::future::poll_fn(|cx| calling.request.poll_capacity(cx));
        let Ok(room) = timeout(Duration::from_millis(500), room).await else {
            break;
        };
        let part = chunk.slice(..room.unwrap().unwrap().min(chunk.len()));
        total += part.len();
        calling.request.send_data(part, false).unwrap();
    }
    assert!(
        total < 4 * 1024 * 1024,
        "the client could send {total} bytes to nobody"
    );
    go.send(true).unwrap();
    calling.request.send_data(Bytes::new(), true).unwrap();
    let answer = answer(calling.response).await.unwrap();
    assert_eq!(answer.body, total.to_string());
}
