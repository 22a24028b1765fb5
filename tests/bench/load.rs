//! Load for HTTP and gRPC doors: so many callers, each on its next call as soon as the last is answered.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::{HeaderValue, Request, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

/// A caller that makes one call after the other.
pub(crate) trait Caller: Send + 'static {
    /// One call, checked.
    fn call(&mut self) -> impl Future<Output = Result<()>> + Send;
}

/// Lets every caller call for `time`, after a short warm-up; the answered calls a second, over all.
///
/// # Errors
/// If any call fails: figures of failing calls mean nothing.
pub(crate) async fn run<C: Caller>(callers: Vec<C>, time: Duration) -> Result<f64> {
    let warm = Instant::now() + time / 5;
    let end = warm + time;
    let mut tasks = Vec::new();
    for mut caller in callers {
        tasks.push(tokio::spawn(async move {
            let mut answered = 0;
            loop {
                let start = Instant::now();
                if start >= end {
                    return Ok::<u32, anyhow::Error>(answered);
                }
                caller.call().await?;
                answered += u32::from(start >= warm);
            }
        }));
    }
    let mut answered = 0u32;
    for task in tasks {
        answered += task.await??;
    }
    ensure!(answered > 0, "no call was answered within {time:?}");
    Ok(f64::from(answered) / time.as_secs_f64())
}

/// Calls one URL over a connection of its own.
pub(crate) struct HttpCaller {
    connection: http1::SendRequest<Full<Bytes>>,
    uri: Uri,
    expected: &'static [u8],
}

impl HttpCaller {
    /// A caller of `uri` (with host and port) that expects this body.
    pub(crate) async fn connect(uri: &str, expected: &'static [u8]) -> Result<Self> {
        let uri: Uri = uri.parse()?;
        let address = uri
            .authority()
            .context("the URL names no host")?
            .to_string();
        let stream = TcpStream::connect(&address).await?;
        stream.set_nodelay(true)?;
        let (connection, driver) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(driver);
        Ok(Self {
            connection,
            uri,
            expected,
        })
    }
}

impl Caller for HttpCaller {
    async fn call(&mut self) -> Result<()> {
        let request = Request::get(self.uri.path_and_query().map_or("/", |path| path.as_str()))
            .header(
                "host",
                self.uri.authority().map_or("", |host| host.as_str()),
            )
            .body(Full::default())?;
        self.connection.ready().await?;
        let response = self.connection.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        ensure!(
            status.is_success() && body.as_ref() == self.expected,
            "{status}: {}",
            String::from_utf8_lossy(&body)
        );
        Ok(())
    }
}

/// One method over one HTTP/2 connection, which callers may share.
#[derive(Clone)]
pub(crate) struct GrpcConnection {
    connection: http2::SendRequest<Full<Bytes>>,
    uri: Uri,
    authorization: Option<HeaderValue>,
}

impl GrpcConnection {
    /// Connects to `address` to call `path`, with a token if there is one.
    pub(crate) async fn open(address: &str, path: &str, token: Option<&str>) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (connection, driver) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(1 << 22)
            .handshake(TokioIo::new(stream))
            .await?;
        tokio::spawn(driver);
        let bearer = |token| HeaderValue::try_from(format!("Bearer {token}"));
        Ok(Self {
            connection,
            uri: format!("http://{address}{path}").parse()?,
            authorization: token.map(bearer).transpose()?,
        })
    }

    /// One call with this encoded message; an error unless it succeeds.
    pub(crate) async fn unary(&mut self, message: &[u8]) -> Result<()> {
        let mut framed = vec![0];
        framed.extend_from_slice(&u32::try_from(message.len())?.to_be_bytes());
        framed.extend_from_slice(message);
        let mut request = Request::post(self.uri.clone())
            .header("content-type", "application/grpc+proto")
            .header("te", "trailers");
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let request = request.body(Full::new(framed.into()))?;
        self.connection.ready().await?;
        let response = self.connection.send_request(request).await?;
        let refused = response.headers().clone();
        let body = response.into_body().collect().await?;
        let facts = body.trailers().unwrap_or(&refused);
        let status = facts.get("grpc-status").or(refused.get("grpc-status"));
        ensure!(
            status.is_some_and(|status| status == "0"),
            "grpc-status {status:?}: {:?}",
            facts.get("grpc-message")
        );
        Ok(())
    }
}

/// Makes one unary gRPC call again and again.
#[derive(Clone)]
pub(crate) struct GrpcCaller {
    connection: GrpcConnection,
    message: &'static [u8],
}

impl GrpcCaller {
    /// A caller of `path` at `address` that sends this encoded message.
    pub(crate) async fn connect(address: &str, path: &str, message: &'static [u8]) -> Result<Self> {
        let connection = GrpcConnection::open(address, path, None).await?;
        Ok(Self {
            connection,
            message,
        })
    }
}

impl Caller for GrpcCaller {
    async fn call(&mut self) -> Result<()> {
        self.connection.unary(self.message).await
    }
}
