//! The gateway that ours is measured against: axum, a tonic client and prost-reflect, nothing else.

use std::{collections::HashMap, sync::Arc};

use anyhow::{Context as _, Result};
use axum::{
    Router,
    extract::{Query, State},
    http::StatusCode,
    response::IntoResponse,
    routing::get,
};
use bytes::{Buf as _, BufMut as _};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions};
use tonic::{
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::Channel,
};

struct Gateway {
    channel: Channel,
    request: MessageDescriptor,
    response: MessageDescriptor,
}

/// Serves `/helloworld/call` on a free port, calling the helloworld node at `upstream`; prints the
/// address, and serves until it is killed.
pub(crate) async fn serve(upstream: &str) -> Result<()> {
    let pool =
        DescriptorPool::decode(&include_bytes!(concat!(env!("OUT_DIR"), "/helloworld.bin"))[..])?;
    let method = pool
        .services()
        .find(|service| service.name() == "Helloworld")
        .and_then(|service| service.methods().find(|method| method.name() == "Call"))
        .context("the descriptors have no Helloworld.Call")?;
    let gateway = Arc::new(Gateway {
        channel: Channel::from_shared(format!("http://{upstream}"))?.connect_lazy(),
        request: method.input(),
        response: method.output(),
    });
    let app = Router::new()
        .route("/helloworld/call", get(call))
        .with_state(gateway);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}

async fn call(
    State(gateway): State<Arc<Gateway>>,
    Query(query): Query<HashMap<String, String>>,
) -> impl IntoResponse {
    match forward(&gateway, query).await {
        Ok(json) => (StatusCode::OK, json),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

async fn forward(gateway: &Gateway, query: HashMap<String, String>) -> Result<String> {
    let json = serde_json::to_string(&query)?;
    let mut deserializer = serde_json::Deserializer::from_str(&json);
    let message = DynamicMessage::deserialize(gateway.request.clone(), &mut deserializer)?;
    let mut client = Grpc::new(gateway.channel.clone());
    client.ready().await?;
    let response = client
        .unary(
            tonic::Request::new(message),
            http::uri::PathAndQuery::from_static("/helloworld.Helloworld/Call"),
            DynamicCodec(gateway.response.clone()),
        )
        .await?;
    let options = SerializeOptions::new().skip_default_fields(false);
    let mut out = Vec::new();
    response
        .into_inner()
        .serialize_with_options(&mut serde_json::Serializer::new(&mut out), &options)?;
    Ok(String::from_utf8(out)?)
}

struct DynamicCodec(MessageDescriptor);

impl Codec for DynamicCodec {
    type Encode = DynamicMessage;
    type Decode = DynamicMessage;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self(self.0.clone())
    }

    fn decoder(&mut self) -> Self {
        Self(self.0.clone())
    }
}

impl Encoder for DynamicCodec {
    type Item = DynamicMessage;
    type Error = tonic::Status;

    fn encode(&mut self, item: DynamicMessage, dst: &mut EncodeBuf<'_>) -> Result<(), Self::Error> {
        dst.put_slice(&item.encode_to_vec());
        Ok(())
    }
}

impl Decoder for DynamicCodec {
    type Item = DynamicMessage;
    type Error = tonic::Status;

    fn decode(&mut self, src: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Self::Error> {
        let bytes = src.copy_to_bytes(src.remaining());
        DynamicMessage::decode(self.0.clone(), bytes)
            .map(Some)
            .map_err(|error| tonic::Status::internal(error.to_string()))
    }
}
