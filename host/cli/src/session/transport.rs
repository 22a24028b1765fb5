//! Calls over one HTTP/2 connection; messages are bytes here, protobuf or JSON by content type.

use std::{
    error::Error as _,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf as _, BufMut as _, Bytes};
use futures::{Stream, StreamExt as _};
use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE, uri::PathAndQuery};
use micro_wire::{Error as WireError, metadata};
use tokio::sync::OnceCell;
use tonic::{
    Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    metadata::MetadataMap,
    transport::{Channel, Endpoint},
};
use tower_service::Service;

use crate::{
    error::{CliError, Result},
    state::Place,
};

/// The largest message of the platform.
const LIMIT: usize = 16 * 1024 * 1024;

/// How long to wait for somebody to accept the connection.
const CONNECT: Duration = Duration::from_secs(5);

/// Why a call has no answer.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// Nobody answers at this address.
    Connect(String),
    /// The server or the service answered with an error.
    Answer(WireError),
}

impl Failure {
    /// The code of an answered error.
    pub(crate) fn code(&self) -> Option<i32> {
        match self {
            Self::Connect(_) => None,
            Self::Answer(error) => Some(error.code),
        }
    }
}

/// One message, and how it is written.
pub(super) enum Body {
    /// Protobuf.
    Proto(Bytes),
    /// JSON.
    Json(Bytes),
}

/// The connection, made on first use.
pub(super) struct Transport {
    address: String,
    endpoint: Endpoint,
    channel: OnceCell<Channel>,
}

type Answer<T> = std::result::Result<T, Failure>;

impl Transport {
    /// To the proxy of this environment.
    pub(super) fn to(place: &Place) -> Result<Self> {
        let address = place.address.clone();
        if address.is_empty() {
            return Err(
                CliError::plain(format!("Environment {} has no address", place.name)).hint(
                    format!("give it one: micro env add {} HOST:PORT", place.name),
                ),
            );
        }
        if address.ends_with(":443") || !address.contains(':') {
            return Err(CliError::plain(format!(
                "Environment {} is at {address}, which is reached over TLS, and that is not built yet",
                place.name
            ))
            .hint("name the port of a proxy without TLS: micro env add NAME HOST:PORT"));
        }
        let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|_| {
            CliError::plain(format!(
                "Environment {} has an address that is none: {address}",
                place.name
            ))
            .hint("an address is HOST:PORT, such as 127.0.0.1:8081")
        })?;
        Ok(Self {
            address,
            endpoint: endpoint.connect_timeout(CONNECT).tcp_nodelay(true),
            channel: OnceCell::new(),
        })
    }

    /// One message there, one back.
    pub(super) async fn unary(
        &self,
        service: &str,
        endpoint: &str,
        headers: HeaderMap,
        body: Body,
    ) -> Answer<Bytes> {
        let (bytes, kind) = body.parts();
        let mut grpc = self.client(kind).await?;
        let answer = grpc
            .unary(request(headers, bytes), path(service, endpoint)?, Raw)
            .await;
        answer
            .map(tonic::Response::into_inner)
            .map_err(|status| self.failure(&status))
    }

    /// One message there, any number back.
    pub(super) async fn stream(
        &self,
        service: &str,
        endpoint: &str,
        headers: HeaderMap,
        body: Body,
    ) -> Answer<impl Stream<Item = Answer<Bytes>> + use<>> {
        let (bytes, kind) = body.parts();
        let mut grpc = self.client(kind).await?;
        let answer = grpc
            .server_streaming(request(headers, bytes), path(service, endpoint)?, Raw)
            .await;
        let messages = answer.map_err(|status| self.failure(&status))?.into_inner();
        let address = self.address.clone();
        Ok(messages.map(move |message| message.map_err(|status| failure(&address, &status))))
    }

    /// Any number of protobuf messages there, one back. The first error among them is what is reported.
    pub(super) async fn send_all(
        &self,
        service: &str,
        endpoint: &str,
        headers: HeaderMap,
        messages: impl Stream<Item = Result<Bytes>> + Send + 'static,
    ) -> Result<Bytes> {
        let refused = Arc::new(Mutex::new(None));
        let note = Arc::clone(&refused);
        let sent = messages.scan((), move |(), message| {
            let message = message.map_err(|error| {
                *note.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            });
            std::future::ready(message.ok())
        });
        let mut grpc = self.client(metadata::GRPC_PROTO).await?;
        let answer = grpc
            .client_streaming(request(headers, sent), path(service, endpoint)?, Raw)
            .await;
        let error = refused
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(error) = error {
            return Err(error);
        }
        answer
            .map(tonic::Response::into_inner)
            .map_err(|status| self.failure(&status).into())
    }

    async fn client(&self, kind: &'static str) -> Answer<Grpc<Typed>> {
        let connect = || async {
            let connected = self.endpoint.connect().await;
            connected.map_err(|_| Failure::Connect(self.address.clone()))
        };
        let channel = self.channel.get_or_try_init(connect).await?.clone();
        let mut grpc = Grpc::new(Typed { channel, kind })
            .max_decoding_message_size(LIMIT)
            .max_encoding_message_size(LIMIT);
        let ready = grpc.ready().await;
        ready.map_err(|_| Failure::Connect(self.address.clone()))?;
        Ok(grpc)
    }

    fn failure(&self, status: &Status) -> Failure {
        failure(&self.address, status)
    }
}

/// A broken connection is no answer; everything else is.
fn failure(address: &str, status: &Status) -> Failure {
    let broken = status
        .source()
        .is_some_and(|source| source.is::<tonic::transport::Error>());
    if broken {
        return Failure::Connect(address.to_owned());
    }
    Failure::Answer(WireError::from_status(status))
}

impl Body {
    fn parts(self) -> (Bytes, &'static str) {
        match self {
            Self::Proto(bytes) => (bytes, metadata::GRPC_PROTO),
            Self::Json(bytes) => (bytes, metadata::GRPC_JSON),
        }
    }
}

fn request<T>(headers: HeaderMap, message: T) -> Request<T> {
    let mut request = Request::new(message);
    *request.metadata_mut() = MetadataMap::from_headers(headers);
    request
}

/// `/service.Handler/Method`.
fn path(service: &str, endpoint: &str) -> Answer<PathAndQuery> {
    let text = micro_wire::path::of(service, endpoint);
    text.parse().map_err(|_| {
        let detail = format!("malformed method name: \"{endpoint}\"");
        Failure::Answer(WireError::bad_request(micro_wire::error::CLIENT_ID, detail))
    })
}

/// The connection with the content type of what is sent.
#[derive(Clone)]
struct Typed {
    channel: Channel,
    kind: &'static str,
}

impl Service<http::Request<tonic::body::Body>> for Typed {
    type Response = http::Response<tonic::body::Body>;
    type Error = tonic::transport::Error;
    type Future = <Channel as Service<http::Request<tonic::body::Body>>>::Future;

    fn poll_ready(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<std::result::Result<(), Self::Error>> {
        self.channel.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<tonic::body::Body>) -> Self::Future {
        let kind = HeaderValue::from_static(self.kind);
        request.headers_mut().insert(CONTENT_TYPE, kind);
        self.channel.call(request)
    }
}

/// Messages as the bytes that they are.
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(
        &mut self,
        message: Bytes,
        buffer: &mut EncodeBuf<'_>,
    ) -> std::result::Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> std::result::Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
