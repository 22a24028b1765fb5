//! A real service, `helloworld`, as our framework serves one: protobuf and JSON by content type.

use std::{convert::Infallible, net::SocketAddr, pin::Pin, task::Poll};

use futures::{Stream, StreamExt, future::BoxFuture, stream};
use http::{Request, Response};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use micro_plugin_api::registry;
use micro_wire::{Handlers, frame::MAX_MESSAGE};
use prost_reflect::DescriptorPool;
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto, MethodDescriptorProto,
    ServiceDescriptorProto, field_descriptor_proto::Type,
};
use tokio::net::TcpListener;
use tonic::{
    Status,
    body::Body,
    server::{Grpc, NamedService, ServerStreamingService, UnaryService},
};
use tonic_prost::ProstCodec;
use tower::Service;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Hello {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(int64, tag = "2")]
    pub(crate) count: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Reply {
    #[prost(string, tag = "1")]
    pub(crate) msg: String,
}

/// The descriptors of package `helloworld`.
pub(crate) fn pool() -> DescriptorPool {
    let field = |name: &str, number, kind: Type| FieldDescriptorProto {
        name: Some(name.into()),
        number: Some(number),
        r#type: Some(kind.into()),
        ..Default::default()
    };
    let message = |name: &str, field| DescriptorProto {
        name: Some(name.into()),
        field,
        ..Default::default()
    };
    let method = |name: &str, streams| MethodDescriptorProto {
        name: Some(name.into()),
        input_type: Some(".helloworld.Hello".into()),
        output_type: Some(".helloworld.Reply".into()),
        server_streaming: Some(streams),
        ..Default::default()
    };
    let mut pool = DescriptorPool::new();
    pool.add_file_descriptor_proto(FileDescriptorProto {
        name: Some("helloworld.proto".into()),
        package: Some("helloworld".into()),
        syntax: Some("proto3".into()),
        message_type: vec![
            message(
                "Hello",
                vec![
                    field("name", 1, Type::String),
                    field("count", 2, Type::Int64),
                ],
            ),
            message("Reply", vec![field("msg", 1, Type::String)]),
        ],
        service: vec![ServiceDescriptorProto {
            name: Some("Helloworld".into()),
            method: vec![
                method("Call", false),
                method("Metadata", false),
                method("Stream", true),
            ],
            ..Default::default()
        }],
        ..Default::default()
    })
    .unwrap();
    pool
}

/// What the registry is told of it.
pub(crate) fn endpoints() -> Vec<registry::Endpoint> {
    [("Call", false), ("Metadata", false), ("Stream", true)]
        .map(|(name, stream)| registry::Endpoint {
            name: format!("Helloworld.{name}"),
            metadata: stream
                .then(|| ("stream".into(), "true".into()))
                .into_iter()
                .collect(),
            ..Default::default()
        })
        .to_vec()
}

#[derive(Clone)]
struct Helloworld;

impl NamedService for Helloworld {
    const NAME: &'static str = "helloworld.Helloworld";
}

#[derive(Clone, Copy)]
enum Unary {
    Call,
    Metadata,
}

impl UnaryService<Hello> for Unary {
    type Response = Reply;
    type Future = BoxFuture<'static, Result<tonic::Response<Reply>, Status>>;

    fn call(&mut self, request: tonic::Request<Hello>) -> Self::Future {
        let metadata = request.metadata().clone().into_headers();
        let name = request.into_inner().name;
        let answer = match (*self, name.as_str()) {
            (Self::Call, "plain") => Err(Status::unknown("oops 100% \"bad\"")),
            (Self::Call, "error") => {
                Err(micro_wire::Error::conflict("helloworld", "taken already").into())
            }
            (Self::Call, "hang") => return Box::pin(std::future::pending()),
            (Self::Call, name) => Ok(format!("Hello {name}")),
            (Self::Metadata, key) => {
                let values = metadata
                    .get_all(key)
                    .iter()
                    .map(|value| value.to_str().unwrap());
                Ok(values.collect::<Vec<_>>().join("|"))
            }
        };
        let answer = answer.map(|msg| tonic::Response::new(Reply { msg }));
        Box::pin(std::future::ready(answer))
    }
}

struct Streaming;

type Replies = Pin<Box<dyn Stream<Item = Result<Reply, Status>> + Send>>;

impl ServerStreamingService<Hello> for Streaming {
    type Response = Reply;
    type ResponseStream = Replies;
    type Future = BoxFuture<'static, Result<tonic::Response<Replies>, Status>>;

    fn call(&mut self, request: tonic::Request<Hello>) -> Self::Future {
        let count = request.into_inner().count;
        let replies = stream::iter(0..count).map(|at| {
            Ok(Reply {
                msg: at.to_string(),
            })
        });
        Box::pin(std::future::ready(Ok(tonic::Response::new(
            replies.boxed(),
        ))))
    }
}

impl Service<Request<Body>> for Helloworld {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = Grpc::new(ProstCodec::<Reply, Hello>::default())
                .max_decoding_message_size(MAX_MESSAGE)
                .max_encoding_message_size(MAX_MESSAGE);
            Ok(match request.uri().path() {
                "/helloworld.Helloworld/Call" => grpc.unary(Unary::Call, request).await,
                "/helloworld.Helloworld/Metadata" => grpc.unary(Unary::Metadata, request).await,
                _ => grpc.server_streaming(Streaming, request).await,
            })
        })
    }
}

/// A node of `helloworld`, with reflection in one version or the other.
pub(crate) async fn helloworld(alpha: bool) -> SocketAddr {
    let pool = pool();
    let set = pool.encode_to_vec();
    let reflection =
        tonic_reflection::server::Builder::configure().register_encoded_file_descriptor_set(&set);
    let handlers = Handlers::new().add(Helloworld, &pool).unwrap();
    let handlers = match alpha {
        true => handlers.add_standard(reflection.build_v1alpha().unwrap()),
        false => handlers.add_standard(reflection.build_v1().unwrap()),
    };
    serve(move |request| {
        let handlers = handlers.clone();
        async move { handlers.answer(request).await }
    })
    .await
}

/// A node of `helloworld` as any gRPC server is one: with reflection, but without a word of JSON.
pub(crate) async fn plain() -> SocketAddr {
    let set = pool().encode_to_vec();
    let reflection =
        tonic_reflection::server::Builder::configure().register_encoded_file_descriptor_set(&set);
    let reflection = reflection.build_v1().unwrap();
    serve(move |request| {
        let mut reflection = reflection.clone();
        async move {
            let request = request.map(Body::new);
            let answer = match request.uri().path().starts_with("/grpc.reflection.v1.") {
                true => reflection.call(request).await,
                false => Helloworld.call(request).await,
            };
            match answer {
                Ok(response) => response,
                Err(never) => match never {},
            }
        }
    })
    .await
}

async fn serve<F, Fut>(answer: F) -> SocketAddr
where
    F: Fn(Request<Incoming>) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Response<Body>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let answer = answer.clone();
            let service = service_fn(move |request| {
                let answer = answer(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(server.serve_connection(TokioIo::new(socket), service));
        }
    });
    address
}
