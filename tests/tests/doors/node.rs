//! Nodes and clients that speak HTTP/2 as it is, so that a test sees every frame.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use h2::{RecvStream, SendStream, client, server::SendResponse};
use http::{HeaderMap, Request, Response};
use tokio::net::{TcpListener, TcpStream};

/// A request as a node gets it, and the means to answer.
pub(crate) struct Incoming {
    pub(crate) request: Request<RecvStream>,
    pub(crate) respond: SendResponse<Bytes>,
}

impl Incoming {
    /// Reads the whole request body.
    pub(crate) async fn body(&mut self) -> Bytes {
        all(self.request.body_mut()).await.unwrap()
    }

    /// Sends the head of a response.
    pub(crate) fn head(
        &mut self,
        headers: &[(&'static str, &str)],
        last: bool,
    ) -> SendStream<Bytes> {
        let mut response = Response::builder().header("content-type", "application/grpc");
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        self.respond
            .send_response(response.body(()).unwrap(), last)
            .unwrap()
    }

    /// Answers with one chunk and status 0.
    pub(crate) fn answer(&mut self, body: impl Into<Bytes>) {
        let mut stream = self.head(&[], false);
        stream.send_data(body.into(), false).unwrap();
        stream
            .send_trailers(trailers(&[("grpc-status", "0")]))
            .unwrap();
    }
}

pub(crate) fn trailers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .collect()
}

/// Reads a body to its end.
pub(crate) async fn all(body: &mut RecvStream) -> Result<Bytes, h2::Error> {
    let mut whole = BytesMut::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk?;
        let _ = body.flow_control().release_capacity(chunk.len());
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.freeze())
}

/// A node that answers every request with `handle`, each in a task.
pub(crate) async fn node<F, Fut>(handle: F) -> SocketAddr
where
    F: Fn(Incoming) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let handle = handle.clone();
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(socket).await.unwrap();
                while let Some(Ok((request, respond))) = connection.accept().await {
                    tokio::spawn(handle(Incoming { request, respond }));
                }
            });
        }
    });
    address
}

/// An address at which nobody listens.
pub(crate) async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

/// A connection to a door.
pub(crate) struct Client {
    send: client::SendRequest<Bytes>,
    address: SocketAddr,
}

/// A call whose request is still open.
pub(crate) struct Calling {
    pub(crate) response: client::ResponseFuture,
    pub(crate) request: SendStream<Bytes>,
}

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: http::response::Parts,
    pub(crate) body: Bytes,
    pub(crate) trailers: HeaderMap,
}

impl Answer {
    /// A value of the trailers, or of the head of an answer that has none.
    pub(crate) fn trailer(&self, name: &str) -> Option<&str> {
        let value = self
            .trailers
            .get(name)
            .or_else(|| self.head.headers.get(name));
        value.map(|value| value.to_str().unwrap())
    }

    /// The gRPC status and the error in its message.
    pub(crate) fn error(&self) -> (i32, micro_wire::Error) {
        let map = if self.trailers.is_empty() {
            &self.head.headers
        } else {
            &self.trailers
        };
        let status = tonic::Status::from_header_map(map).unwrap();
        (
            status.code() as i32,
            micro_wire::Error::from_status(&status),
        )
    }
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).await.unwrap();
        let (send, connection) = client::handshake(socket).await.unwrap();
        tokio::spawn(connection);
        Self { send, address }
    }

    pub(crate) fn start(&self, path: &str, headers: &[(&str, &str)]) -> Calling {
        let mut request =
            Request::post(format!("http://{}{path}", self.address)).header("te", "trailers");
        if headers.iter().all(|(name, _)| *name != "content-type") {
            request = request.header("content-type", "application/grpc");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut send = self.send.clone();
        let (response, request) = send.send_request(request.body(()).unwrap(), false).unwrap();
        Calling { response, request }
    }

    pub(crate) async fn call(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer, h2::Error> {
        let mut calling = self.start(path, headers);
        calling.request.send_data(body.into(), true)?;
        answer(calling.response).await
    }
}

pub(crate) async fn answer(response: client::ResponseFuture) -> Result<Answer, h2::Error> {
    let (head, mut body) = response.await?.into_parts();
    Ok(Answer {
        head,
        body: all(&mut body).await?,
        trailers: body.trailers().await?.unwrap_or_default(),
    })
}
