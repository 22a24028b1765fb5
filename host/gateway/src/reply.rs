//! From the response of a call to that of a request: its messages as they are, or its error.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body::Body as _;
use micro_route::Body;
use micro_wire::{
    Error,
    error::CLIENT_ID,
    frame::{Decoder, FrameError},
};
use tokio::task::JoinHandle;
use tonic::{Code, Status};

use crate::translate::{self, Translation};

/// What came of a call.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Its one message.
    Message(Bytes),
    /// There are more: it is a stream.
    Stream,
}

/// Waits for the one message of a call. If there turn out to be several it is cancelled.
///
/// # Errors
/// What the call answered instead, or that its answer makes no sense.
pub(crate) async fn message(
    response: Response<Body>,
    translation: Option<Translation>,
) -> Result<Outcome, Error> {
    let mut messages = Messages::of(response, translation)?;
    let Some(message) = messages.next().await.transpose()? else {
        return Err(Error::internal_server_error(
            CLIENT_ID,
            "the service answered nothing",
        ));
    };
    Ok(match messages.next().await.transpose()? {
        None => Outcome::Message(message),
        Some(_) => Outcome::Stream,
    })
}

/// The messages of a call's answer, one after another, and then its error if it has one. No more
/// is read of the answer than the next message needs; dropping this cancels the call.
pub(crate) struct Messages {
    body: Body,
    decoder: Decoder,
    /// Between the language of the service and that of the client.
    translation: Option<Translation>,
    /// A message that is being translated.
    translating: Option<JoinHandle<Result<Bytes, Error>>>,
    /// One that was looked at and is still to be given.
    first: Option<Bytes>,
    /// The status has come, and is good.
    ended: bool,
    /// There is nothing more to say.
    over: bool,
}

impl Messages {
    /// The messages of a response, translated into JSON if need be.
    ///
    /// # Errors
    /// The call has failed already, or this is no answer to a call.
    pub(crate) fn of(
        response: Response<Body>,
        translation: Option<Translation>,
    ) -> Result<Self, Error> {
        let (head, body) = response.into_parts();
        if head.status != StatusCode::OK {
            return Err(not_grpc(head.status));
        }
        // Without a body the status stands in the head.
        let ended = body.is_end_stream();
        check(&head.headers, ended)?;
        Ok(Self {
            body,
            decoder: Decoder::default(),
            translation,
            translating: None,
            first: None,
            ended,
            over: false,
        })
    }

    /// Waits for the first message, so that a failure before it is known as such.
    ///
    /// # Errors
    /// The call failed without a message.
    pub(crate) async fn begun(mut self) -> Result<Self, Error> {
        self.first = self.next().await.transpose()?;
        Ok(self)
    }

    /// The next message; an error is the last. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        if self.over {
            return Poll::Ready(None);
        }
        let next = ready!(self.poll_translated(cx)).transpose();
        self.over = !matches!(next, Some(Ok(_)));
        Poll::Ready(next)
    }

    fn poll_translated(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Error>> {
        loop {
            if let Some(work) = &mut self.translating {
                let done = ready!(Pin::new(work).poll(cx));
                self.translating = None;
                return Poll::Ready(done.unwrap_or_else(|_| Err(translate::lost())).map(Some));
            }
            let message = ready!(self.poll_frames(cx))?;
            let (Some(message), Some(translation)) = (&message, &self.translation) else {
                return Poll::Ready(Ok(message));
            };
            match translation.answer(message.clone()) {
                translate::Answer::Now(answer) => return Poll::Ready(answer.map(Some)),
                translate::Answer::Later(work) => self.translating = Some(work),
            }
        }
    }

    fn poll_frames(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Error>> {
        loop {
            if let Some(frame) = self.decoder.next_frame().map_err(|e| nonsense(&e))? {
                if frame.compressed {
                    return Poll::Ready(Err(Error::bad_gateway(
                        CLIENT_ID,
                        "the service answered compressed, which it was not asked to",
                    )));
                }
                return Poll::Ready(Ok(Some(frame.payload)));
            }
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => {
                    return Poll::Ready(Err(Error::bad_gateway(
                        CLIENT_ID,
                        format!("the service broke off its answer: {error}"),
                    )));
                }
                None if self.ended => {
                    self.decoder.finish().map_err(|e| nonsense(&e))?;
                    return Poll::Ready(Ok(None));
                }
                None => return Poll::Ready(Err(without_status())),
            };
            match frame.into_data() {
                Ok(chunk) => self.decoder.push(chunk),
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        check(&trailers, true)?;
                        self.ended = true;
                    }
                }
            }
        }
    }
}

/// Reads the status of a call; `last` says that it has to be there.
fn check(headers: &HeaderMap, last: bool) -> Result<(), Error> {
    match Status::from_header_map(headers) {
        Some(status) if status.code() == Code::Ok => Ok(()),
        Some(status) => Err(Error::from_status(&status)),
        None if last => Err(without_status()),
        None => Ok(()),
    }
}

fn without_status() -> Error {
    Error::bad_gateway(CLIENT_ID, "the service ended its answer without a status")
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
