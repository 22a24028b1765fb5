//! Stock tonic clients through the proxy: every kind of call of a core service and of a user's.

use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tower::Service;

use crate::{
    platform::Platform,
    service::{Hello, Reply, endpoints, helloworld},
};

/// A connection to a door as tonic's generated clients take one.
#[derive(Clone)]
pub(crate) struct Channel {
    send: hyper::client::conn::http2::SendRequest<tonic::body::Body>,
    address: std::net::SocketAddr,
}

impl Channel {
    pub(crate) async fn connect(address: std::net::SocketAddr) -> Self {
        let socket = TokioIo::new(TcpStream::connect(address).await.unwrap());
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), socket);
        let (send, connection) = handshake.await.unwrap();
        tokio::spawn(connection);
        Self { send, address }
    }
}

impl Service<Request<tonic::body::Body>> for Channel {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = BoxFuture<'static, Result<Response<Incoming>, hyper::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.send.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<tonic::body::Body>) -> Self::Future {
        let path = request.uri().path_and_query().unwrap().clone();
        let uri = Uri::builder()
            .scheme("http")
            .authority(self.address.to_string());
        *request.uri_mut() = uri.path_and_query(path).build().unwrap();
        Box::pin(self.send.send_request(request))
    }
}

#[tokio::test]
async fn a_stock_client_calls_and_streams() {
    let platform = Platform::start().await;
    platform
        .register_with("helloworld", &[helloworld(false).await], endpoints())
        .await;
    let door = platform.proxy().await;
    let mut client = tonic::client::Grpc::new(Channel::connect(door.address).await);
    let codec = || tonic_prost::ProstCodec::<Hello, Reply>::default();
    client.ready().await.unwrap();
    let hello = |name: &str, count| {
        tonic::Request::new(Hello {
            name: name.into(),
            count,
        })
    };
    let path = http::uri::PathAndQuery::from_static;
    let call = path("/helloworld.Helloworld/Call");
    let reply: Reply = client
        .unary(hello("John", 0), call.clone(), codec())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(reply.msg, "Hello John");
    let status = client
        .unary(hello("plain", 0), call, codec())
        .await
        .unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unknown);
    assert_eq!(status.message(), "oops 100% \"bad\"", "untouched");
    let stream = path("/helloworld.Helloworld/Stream");
    let replies = client
        .server_streaming(hello("", 1000), stream, codec())
        .await
        .unwrap();
    let mut replies = replies.into_inner();
    let mut count = 0;
    while let Some(reply) = replies.message().await.unwrap() {
        assert_eq!(reply.msg, count.to_string());
        count += 1;
    }
    assert_eq!(count, 1000);
    for (method, message) in [
        (
            "/helloworld.Helloworld/Nosuch",
            "unknown service Helloworld.Nosuch",
        ),
        ("/helloworld.Nosuch/Call", "unknown service Nosuch"),
    ] {
        let status = client
            .unary(hello("", 0), path(method), codec())
            .await
            .unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (tonic::Code::Unimplemented, message)
        );
    }
}

#[tokio::test]
async fn large_messages_pass_both_ways() {
    let platform = Platform::start().await;
    platform
        .register_with("helloworld", &[helloworld(false).await], endpoints())
        .await;
    let door = platform.proxy().await;
    let mut client = tonic::client::Grpc::new(Channel::connect(door.address).await)
        .max_decoding_message_size(32 * 1024 * 1024);
    client.ready().await.unwrap();
    let name = "x".repeat(15 * 1024 * 1024);
    let reply: Reply = client
        .unary(
            tonic::Request::new(Hello {
                name: name.clone(),
                count: 0,
            }),
            http::uri::PathAndQuery::from_static("/helloworld.Helloworld/Call"),
            tonic_prost::ProstCodec::<Hello, Reply>::default(),
        )
        .await
        .unwrap()
        .into_inner();
    assert_eq!(reply.msg.len(), name.len() + "Hello ".len());
    assert!(reply.msg.starts_with("Hello x"));
    drop(Bytes::from(reply.msg));
}
