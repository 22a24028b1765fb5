//! The bodies of a call between JSON and protobuf, one frame for one frame.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body::{Body, Frame};
use pin_project_lite::pin_project;
use prost_reflect::{MessageDescriptor, MethodDescriptor};
use tonic::Status;

use super::{json_to_proto, proto_to_json};
use crate::{Error, frame, metadata, path::MethodPath};

/// Turns a request of `application/grpc+json` into one of protobuf.
///
/// # Errors
/// UNIMPLEMENTED if its messages are compressed.
pub fn transcode_request<B>(
    request: Request<B>,
    method: &MethodDescriptor,
) -> Result<Request<tonic::body::Body>, Error>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<tonic::codegen::StdError>,
{
    let id = MethodPath::parse(request.uri().path())
        .map(|path| path.service.to_owned())
        .unwrap_or_default();
    let (mut parts, body) = request.into_parts();
    if let Some(encoding) = parts.headers.remove("grpc-encoding")
        && encoding != "identity"
    {
        let detail = format!(
            "messages of {} cannot be compressed (grpc-encoding {}): send them as they are",
            metadata::GRPC_JSON,
            encoding.to_str().unwrap_or("?"),
        );
        return Err(Error::not_implemented(id, detail));
    }
    // The answer has to be read here as well.
    parts.headers.remove("grpc-accept-encoding");
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(metadata::GRPC),
    );
    let body = Transcoded {
        body,
        decoder: frame::Decoder::default(),
        message: method.input(),
        direction: Direction::Request {
            id,
            at_least_one: !method.is_client_streaming(),
        },
        ended: false,
    };
    Ok(Request::from_parts(parts, tonic::body::Body::new(body)))
}

/// Turns the protobuf response of a method into one of `application/grpc+json`.
pub fn transcode_response<B>(
    response: Response<B>,
    method: &MethodDescriptor,
) -> Response<tonic::body::Body>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<tonic::codegen::StdError>,
{
    let (mut parts, body) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(metadata::GRPC_JSON),
    );
    let body = Transcoded {
        body,
        decoder: frame::Decoder::new(usize::MAX),
        message: method.output(),
        direction: Direction::Response,
        ended: false,
    };
    Response::from_parts(parts, tonic::body::Body::new(body))
}

#[derive(Debug)]
enum Direction {
    /// JSON comes in. A method that takes one message gets an empty one if none came.
    Request { id: String, at_least_one: bool },
    /// Protobuf comes in.
    Response,
}

pin_project! {
    /// A body that gives one transcoded frame a poll, and takes no more of the inner body than that needs.
    struct Transcoded<B> {
        #[pin]
        body: B,
        decoder: frame::Decoder,
        message: MessageDescriptor,
        direction: Direction,
        ended: bool,
    }
}

impl<B> Transcoded<B> {
    fn convert(
        message: &MessageDescriptor,
        direction: &mut Direction,
        frame: frame::Frame,
    ) -> Result<Bytes, Status> {
        if frame.compressed {
            return Err(Status::internal(
                "a compressed message without grpc-encoding",
            ));
        }
        let converted = match direction {
            Direction::Request { id, at_least_one } => {
                *at_least_one = false;
                json_to_proto(message, &frame.payload).map_err(|e| e.into_error(id.as_str()))
            }
            Direction::Response => {
                proto_to_json(message, frame.payload).map_err(|e| e.into_error(""))
            }
        };
        Ok(frame::encode(converted?))
    }
}

impl<B> Body for Transcoded<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<tonic::codegen::StdError>,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let mut this = self.project();
        if *this.ended {
            return Poll::Ready(None);
        }
        let end = |status: Status, ended: &mut bool| {
            *ended = true;
            Poll::Ready(Some(Err(status)))
        };
        loop {
            match this.decoder.next_frame() {
                Ok(Some(frame)) => {
                    return match Self::convert(this.message, this.direction, frame) {
                        Ok(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                        Err(status) => end(status, this.ended),
                    };
                }
                Ok(None) => {}
                Err(error) => return end(error.into(), this.ended),
            }
            match ready!(this.body.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.decoder.push(data),
                    Err(trailers) => {
                        *this.ended = true;
                        return Poll::Ready(Some(Ok(trailers)));
                    }
                },
                Some(Err(error)) => return end(Status::from_error(error.into()), this.ended),
                None => {
                    if let Err(error) = this.decoder.finish() {
                        return end(error.into(), this.ended);
                    }
                    *this.ended = true;
                    return match this.direction {
                        Direction::Request {
                            at_least_one: true, ..
                        } => Poll::Ready(Some(Ok(Frame::data(frame::encode(Bytes::new()))))),
                        _ => Poll::Ready(None),
                    };
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let owes = matches!(
            self.direction,
            Direction::Request {
                at_least_one: true,
                ..
            }
        );
        self.ended || (!owes && self.decoder.is_empty() && self.body.is_end_stream())
    }
}
