//! The JSON layer over a bare tonic service, as anybody may use it.

#![allow(
    clippy::unwrap_used,
    reason = "the helpers of these tests are tests too"
)]

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use micro::{
    tonic::body::Body,
    wire::{
        frame,
        json::{JsonLayer, JsonService, MethodsError},
    },
};
use micro_framework_tests::{
    Handler,
    proto::{self, Message, kinds_server::KindsServer},
};
use prost::Message as _;
use prost_reflect::DescriptorPool;
use tower_layer::Layer as _;
use tower_service::Service as _;

fn pool() -> DescriptorPool {
    DescriptorPool::decode(proto::DESCRIPTORS).unwrap()
}

fn service() -> JsonService<KindsServer<Handler>> {
    let layer = JsonLayer::new(&pool(), ["kinds.Kinds"]).unwrap();
    layer.layer(KindsServer::new(Handler::default()))
}

/// Content type, messages and grpc-status of the answer to one message.
async fn call(path: &str, content_type: &str, message: Bytes) -> (String, Vec<Bytes>, String) {
    let request = http::Request::post(path)
        .header("content-type", content_type)
        .header("grpc-accept-encoding", "gzip")
        .body(Body::new(Full::new(frame::encode(message))))
        .unwrap();
    let response = service().call(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap();
    let trailers = body.trailers().cloned().unwrap_or_default();
    let status = trailers
        .get("grpc-status")
        .or(parts.headers.get("grpc-status"))
        .unwrap();
    let status = status.to_str().unwrap().to_owned();
    let content_type = parts.headers["content-type"].to_str().unwrap().to_owned();
    let mut decoder = frame::Decoder::default();
    decoder.push(body.to_bytes());
    let mut messages = Vec::new();
    while let Some(frame) = decoder.next_frame().unwrap() {
        messages.push(frame.payload);
    }
    (content_type, messages, status)
}

#[tokio::test]
async fn json_in_and_out() {
    let json = |text: &'static str| Bytes::from_static(text.as_bytes());
    let (content_type, messages, status) = call(
        "/kinds.Kinds/Down",
        "application/grpc+json",
        json(r#"{"number":2}"#),
    )
    .await;
    assert_eq!(
        (content_type.as_str(), status.as_str()),
        ("application/grpc+json", "0")
    );
    assert_eq!(
        messages,
        [r#"{"text":"","number":"0"}"#, r#"{"text":"","number":"1"}"#]
    );

    let (content_type, messages, status) =
        call("/kinds.Kinds/One", "application/grpc+json", json("{")).await;
    assert_eq!(
        (content_type.as_str(), status.as_str()),
        ("application/grpc+json", "3")
    );
    assert!(messages.is_empty());
}

#[tokio::test]
async fn protobuf_passes_untouched() {
    let message = Message {
        text: "hi".into(),
        number: 1,
    };
    for content_type in ["application/grpc", "application/grpc+proto"] {
        let bytes = Bytes::from(message.encode_to_vec());
        let (answered, messages, status) =
            call("/kinds.Kinds/One", content_type, bytes.clone()).await;
        assert_eq!(
            (answered.as_str(), status.as_str()),
            ("application/grpc", "0")
        );
        assert_eq!(messages, [bytes]);
    }
}

#[test]
fn services_that_are_not_in_the_pool_are_refused() {
    let error = JsonLayer::new(&pool(), ["kinds.Nosuch"]).unwrap_err();
    assert_eq!(error, MethodsError::Unknown("kinds.Nosuch".into()));
}
