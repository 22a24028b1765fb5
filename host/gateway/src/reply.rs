//! From the response of a call to that of a request: its message as it is, or its error as JSON.

use std::{future::poll_fn, pin::Pin};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body::Body as _;
use micro_route::Body;
use micro_wire::{
    Error,
    error::CLIENT_ID,
    frame::{Decoder, FrameError},
};
use tonic::{Code, Status};

/// What came of a call.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Its one message.
    Message(Bytes),
    /// Messages without an end in sight: it is a stream.
    Stream,
}

/// Waits for the one message of a call. If there turn out to be several, or the call is known as a
/// stream and has begun well, it is cancelled.
///
/// # Errors
/// What the call answered instead, or that its answer makes no sense.
pub(crate) async fn message(response: Response<Body>, stream: bool) -> Result<Outcome, Error> {
    let (head, mut body) = response.into_parts();
    if head.status != StatusCode::OK {
        return Err(not_grpc(head.status));
    }
    // Without a body the status stands in the head.
    check(&head.headers, body.is_end_stream())?;
    if stream {
        return Ok(Outcome::Stream);
    }
    let mut decoder = Decoder::default();
    let mut message = None;
    let mut ended = body.is_end_stream();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|error| {
            Error::bad_gateway(
                CLIENT_ID,
                format!("the service broke off its answer: {error}"),
            )
        })?;
        match frame.into_data() {
            Ok(chunk) => {
                decoder.push(chunk);
                while let Some(frame) = decoder.next_frame().map_err(|error| nonsense(&error))? {
                    if frame.compressed {
                        return Err(Error::bad_gateway(
                            CLIENT_ID,
                            "the service answered compressed, which it was not asked to",
                        ));
                    }
                    if message.replace(frame.payload).is_some() {
                        return Ok(Outcome::Stream);
                    }
                }
            }
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    check(&trailers, true)?;
                    ended = true;
                }
            }
        }
    }
    if !ended {
        return Err(Error::bad_gateway(
            CLIENT_ID,
            "the service ended its answer without a status",
        ));
    }
    decoder.finish().map_err(|error| nonsense(&error))?;
    match message {
        Some(message) => Ok(Outcome::Message(message)),
        None => Err(Error::internal_server_error(
            CLIENT_ID,
            "the service answered nothing",
        )),
    }
}

/// Reads the status of a call; `last` says that it has to be there.
fn check(headers: &HeaderMap, last: bool) -> Result<(), Error> {
    match Status::from_header_map(headers) {
        Some(status) if status.code() == Code::Ok => Ok(()),
        Some(status) => Err(Error::from_status(&status)),
        None if last => Err(Error::bad_gateway(
            CLIENT_ID,
            "the service ended its answer without a status",
        )),
        None => Ok(()),
    }
}

fn nonsense(error: &FrameError) -> Error {
    Error::bad_gateway(
        CLIENT_ID,
        format!("the service answered no gRPC message: {error}"),
    )
}

/// The error of a node that answers HTTP/2 but not gRPC.
fn not_grpc(status: StatusCode) -> Error {
    Error::bad_gateway(
        CLIENT_ID,
        format!("the service answered HTTP status {status} to a gRPC call"),
    )
}
