//! gRPC as bytes: what a client of another language sends, without our client in between.

use anyhow::{Context as _, Result, bail};
use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderMap, Request, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use micro_proto::auth;
use prost::Message;
use tokio::{net::TcpStream, time::timeout};

use crate::PATIENCE;

/// One plaintext HTTP/2 connection to a door.
#[derive(Clone)]
pub struct Connection {
    sender: http2::SendRequest<Full<Bytes>>,
    address: String,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// `grpc-status`, from the trailers or from the headers of an answer without a body; -1 for
    /// what was refused by an HTTP status of 4xx alone.
    pub status: i32,
    /// `grpc-message`, percent-decoded.
    pub message: String,
    /// The messages, in order, still encoded.
    pub messages: Vec<Bytes>,
    /// The headers of the answer.
    pub headers: HeaderMap,
    /// Its trailers.
    pub trailers: HeaderMap,
}

impl Connection {
    /// Connects to `host:port`.
    pub async fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address)
            .await
            .with_context(|| format!("cannot connect to {address}"))?;
        let (sender, driver) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(driver);
        Ok(Self {
            sender,
            address: address.to_owned(),
        })
    }

    /// An access token of the first account, for `token_expiry` seconds.
    pub async fn login(&self, token_expiry: i64) -> Result<String> {
        let request = auth::TokenRequest {
            id: "admin".into(),
            secret: "micro".into(),
            token_expiry,
            ..Default::default()
        };
        let answer = self.call("/auth.Auth/Token", &[], &[request]).await?;
        let token = answer.single::<auth::TokenResponse>()?.token;
        Ok(token.context("an answer without a token")?.access_token)
    }

    /// Calls `path` with these messages, which makes a unary call or a client stream, and metadata.
    pub async fn call<M: Message>(
        &self,
        path: &str,
        metadata: &[(&str, &str)],
        messages: &[M],
    ) -> Result<Answer> {
        let mut body = BytesMut::new();
        for message in messages {
            body.extend_from_slice(&frame(&message.encode_to_vec()));
        }
        self.call_raw(path, metadata, body.freeze()).await
    }

    /// Calls `path` with a body as it is, well-formed or not.
    pub async fn call_raw(
        &self,
        path: &str,
        metadata: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Answer> {
        let uri: Uri = format!("http://{}{path}", self.address).parse()?;
        let mut request = Request::post(uri).header("te", "trailers");
        if !metadata.iter().any(|(key, _)| *key == "content-type") {
            request = request.header("content-type", "application/grpc+proto");
        }
        for (key, value) in metadata {
            request = request.header(*key, *value);
        }
        let mut sender = self.sender.clone();
        let exchange = async {
            sender.ready().await?;
            let response = sender.send_request(request.body(Full::new(body))?).await?;
            let http_status = response.status();
            let headers = response.headers().clone();
            let body = response.into_body().collect().await?;
            let trailers = body.trailers().cloned().unwrap_or_default();
            anyhow::Ok((http_status, headers, trailers, body.to_bytes()))
        };
        let (http_status, headers, trailers, body) = timeout(PATIENCE, exchange)
            .await
            .with_context(|| format!("{path} was not answered within {PATIENCE:?}"))??;
        let find = |key: &str| {
            let value = trailers.get(key).or_else(|| headers.get(key));
            value.and_then(|value| value.to_str().ok())
        };
        let status = match find("grpc-status") {
            Some(status) => status.parse()?,
            // What is not gRPC at all is refused in HTTP's own words.
            None if http_status.is_client_error() => -1,
            None => bail!("HTTP {http_status} without a grpc-status"),
        };
        Ok(Answer {
            status,
            message: percent_decoded(find("grpc-message").unwrap_or_default()),
            messages: if status < 0 {
                Vec::new()
            } else {
                unframed(body)?
            },
            headers,
            trailers,
        })
    }
}

impl Answer {
    /// The one message of a call that succeeded.
    pub fn single<M: Message + Default>(&self) -> Result<M> {
        match (self.status, &self.messages[..]) {
            (0, [message]) => Ok(M::decode(message.clone())?),
            _ => bail!(
                "status {} {:?}, {} messages",
                self.status,
                self.message,
                self.messages.len()
            ),
        }
    }

    /// The error JSON in the status message, as a Go client reads it.
    pub fn error(&self) -> Result<serde_json::Value> {
        serde_json::from_str(&self.message)
            .with_context(|| format!("status {} says {:?}", self.status, self.message))
    }
}

/// A message in its gRPC frame: no compression, length, bytes.
pub fn frame(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(message.len() + 5);
    framed.extend_from_slice(&[0]);
    let length = u32::try_from(message.len()).expect("a test's message is below 4 GiB");
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(message);
    framed.freeze()
}

fn unframed(mut body: Bytes) -> Result<Vec<Bytes>> {
    let mut messages = Vec::new();
    while body.has_remaining() {
        if body.len() < 5 {
            bail!("{} bytes where a frame should begin", body.len());
        }
        body.advance(1);
        let length = body.get_u32() as usize;
        if body.len() < length {
            bail!("a frame of {length} bytes ends after {}", body.len());
        }
        messages.push(body.split_to(length));
    }
    Ok(messages)
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let hex = (bytes[index] == b'%')
            .then(|| text.get(index + 1..index + 3))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(hex.unwrap_or(bytes[index]));
        index += if hex.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}
