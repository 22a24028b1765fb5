//! Calls without generated code: JSON or bytes in and out, and streams of them.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use http::{HeaderMap, HeaderValue, Request, header};
use http_body::Body as _;
use http_body_util::StreamBody;
use serde_json::Value;
use tonic::{Code, Status, body::Body};
use tower_service::Service as _;

use super::{CallOptions, Client, MAX_MESSAGE, Unary};
use crate::{
    Error,
    wire::{error::CLIENT_ID, frame, metadata, path},
};

/// What the bytes of a message are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// JSON text; what it means, the service knows.
    Json,
    /// Protobuf.
    Proto,
}

impl Encoding {
    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Json => metadata::GRPC_JSON,
            Self::Proto => metadata::GRPC_PROTO,
        })
    }
}

impl Client {
    /// Calls an endpoint (`Helloworld.Call`) with JSON.
    ///
    /// # Errors
    /// What the service answered, or of id `go.micro.client` what went wrong on the way.
    pub async fn call_json(
        &self,
        service: &str,
        endpoint: &str,
        request: &Value,
    ) -> Result<Value, Error> {
        self.call_json_with(service, endpoint, request, CallOptions::new())
            .await
    }

    /// As [`Client::call_json`], with options.
    ///
    /// # Errors
    /// As [`Client::call_json`].
    pub async fn call_json_with(
        &self,
        service: &str,
        endpoint: &str,
        request: &Value,
        options: CallOptions,
    ) -> Result<Value, Error> {
        let body = request.to_string().into();
        let answer = self
            .call(service, endpoint, Encoding::Json, body, options)
            .await?;
        serde_json::from_slice(&answer).map_err(|error| {
            Error::bad_gateway(
                CLIENT_ID,
                format!("{service} answered what is not JSON: {error}"),
            )
        })
    }

    /// Calls an endpoint with one message of bytes, and returns the one that it answers.
    ///
    /// # Errors
    /// As [`Client::call_json`].
    pub async fn call(
        &self,
        service: &str,
        endpoint: &str,
        encoding: Encoding,
        request: Bytes,
        options: CallOptions,
    ) -> Result<Bytes, Error> {
        let requests = futures::stream::iter([request]);
        let mut answers = self
            .open(service, endpoint, encoding, requests, options, Some(Unary))
            .await?;
        let answer = answers.try_next().await?;
        // The status comes after the message.
        while answers.try_next().await?.is_some() {}
        answer.ok_or_else(|| {
            Error::bad_gateway(
                CLIENT_ID,
                format!("{service} answered {endpoint} with nothing"),
            )
        })
    }

    /// Calls an endpoint that streams, either way or both: messages go out as `requests` gives them
    /// and come back as they are answered. It returns once the service has begun to answer.
    ///
    /// # Errors
    /// As [`Client::call_json`]; later ones are in the stream.
    pub async fn stream(
        &self,
        service: &str,
        endpoint: &str,
        encoding: Encoding,
        requests: impl Stream<Item = Bytes> + Send + 'static,
        options: CallOptions,
    ) -> Result<MessageStream, Error> {
        self.open(service, endpoint, encoding, requests, options, None)
            .await
    }

    async fn open(
        &self,
        service: &str,
        endpoint: &str,
        encoding: Encoding,
        requests: impl Stream<Item = Bytes> + Send + 'static,
        options: CallOptions,
        unary: Option<Unary>,
    ) -> Result<MessageStream, Error> {
        let frames =
            requests.map(|message| Ok::<_, Status>(http_body::Frame::data(frame::encode(message))));
        let mut request = Request::post(path::of(service, endpoint))
            .header(header::CONTENT_TYPE, encoding.content_type())
            .header(header::TE, "trailers")
            .body(Body::new(StreamBody::new(frames)))
            .map_err(|_| {
                let detail = format!("{endpoint:?} is no endpoint: want Handler.Method");
                Error::bad_request(CLIENT_ID, detail)
            })?;
        if let Some(unary) = unary {
            request.extensions_mut().insert(unary);
        }
        let answer = self.service_with(service, options).call(request).await;
        let response = answer.unwrap_or_else(|never| match never {});
        let (parts, body) = response.into_parts();
        match Status::from_header_map(&parts.headers) {
            Some(status) if status.code() != Code::Ok => return Err(status.into()),
            None if !parts.status.is_success() => {
                let detail = format!("{} answered HTTP {}", self.address(), parts.status);
                return Err(Error::bad_gateway(CLIENT_ID, detail));
            }
            _ => {}
        }
        let decoder = frame::Decoder::new(MAX_MESSAGE);
        Ok(MessageStream {
            headers: parts.headers,
            body,
            decoder,
            ended: false,
        })
    }
}

/// The messages that a service answers, as bytes in the encoding of the request. An error is the last.
#[derive(Debug)]
pub struct MessageStream {
    headers: HeaderMap,
    body: Body,
    decoder: frame::Decoder,
    ended: bool,
}

impl MessageStream {
    /// The metadata that the answer began with.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        let broken = |status: Status| Poll::Ready(Some(Err(Error::from(status))));
        loop {
            match self.decoder.next_frame() {
                Ok(Some(frame::Frame {
                    compressed: false,
                    payload,
                })) => {
                    return Poll::Ready(Some(Ok(payload)));
                }
                Ok(Some(_)) => {
                    return broken(Status::internal(
                        "a compressed answer that was not asked for",
                    ));
                }
                Ok(None) => {}
                Err(error) => return broken(error.into()),
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.decoder.push(data),
                    Err(frame) => {
                        let status = frame.trailers_ref().and_then(Status::from_header_map);
                        return match status {
                            Some(status) if status.code() != Code::Ok => broken(status),
                            _ => Poll::Ready(None),
                        };
                    }
                },
                Some(Err(status)) => return broken(status),
                None => {
                    return match self.decoder.finish() {
                        Ok(()) => Poll::Ready(None),
                        Err(error) => broken(error.into()),
                    };
                }
            }
        }
    }
}

impl Stream for MessageStream {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let message = ready!(self.poll_message(cx));
        self.ended = !matches!(message, Some(Ok(_)));
        Poll::Ready(message)
    }
}
