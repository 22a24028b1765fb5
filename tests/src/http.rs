//! One HTTP request and its whole answer.

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

use crate::PATIENCE;

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// If it is none.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("not JSON: {}", self.text()))
    }
}

/// Sends a request to `http://host:port/…` on a connection of its own and reads the whole answer,
/// within [`PATIENCE`].
///
/// # Errors
/// If nobody listens there, or no whole answer comes.
pub async fn fetch(request: Request<impl Into<Bytes>>) -> Result<Answer> {
    let uri = request.uri().clone();
    let method = request.method().clone();
    let exchange = async {
        let authority = uri
            .authority()
            .context("an absolute URI is needed")?
            .clone();
        let stream = TcpStream::connect(authority.as_str()).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let (mut head, body) = request.into_parts();
        head.uri = uri
            .path_and_query()
            .map_or("/", |path| path.as_str())
            .parse()?;
        head.headers
            .entry(http::header::HOST)
            .or_insert(authority.as_str().parse()?);
        let request = Request::from_parts(head, Full::<Bytes>::new(body.into()));
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        connection.abort();
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
        })
    };
    timeout(PATIENCE, exchange)
        .await
        .unwrap_or_else(|_| Err(anyhow::anyhow!("no answer within {PATIENCE:?}")))
        .with_context(|| format!("{method} {uri}"))
}
