//! One call on a connection: the request goes out while the response comes in.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{Reason, RecvStream, client::ResponseFuture};
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use tokio::task::AbortHandle;

use super::{Lease, connection::Held, replay::Replay, upload::Upload};
use crate::routes::InFlight;

/// Why a call got no response.
pub(crate) struct Failure<B> {
    /// What went wrong.
    pub(crate) error: h2::Error,
    /// The body, if no handler can have seen the call and the body can be sent again.
    pub(crate) again: Option<Replay<B>>,
}

/// A call under way, up to the head of its response.
pub(crate) struct Exchange<B> {
    response: ResponseFuture,
    upload: Option<Upload<B>>,
    /// A body that was sent whole, for the case that it was refused.
    sent: Option<Replay<B>>,
    counted: Option<(Held, InFlight)>,
}

impl<B> Exchange<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Send,
{
    /// Sends the head of a request.
    pub(crate) fn start(
        mut lease: Lease,
        in_flight: InFlight,
        head: Request<()>,
        body: Replay<B>,
    ) -> Result<Self, Failure<B>> {
        let bodyless = body.is_end_stream();
        match lease.send.send_request(head, bodyless) {
            Ok((response, stream)) => {
                let (upload, sent) = if bodyless {
                    (None, Some(body))
                } else {
                    (Some(Upload::new(body, stream)), None)
                };
                Ok(Self {
                    response,
                    upload,
                    sent,
                    counted: Some((lease.held, in_flight)),
                })
            }
            // Nothing has left this process.
            Err(error) => Err(Failure {
                error,
                again: Some(body),
            }),
        }
    }

    fn fail(&mut self, error: h2::Error) -> Failure<B> {
        let body = self
            .upload
            .take()
            .map(Upload::into_body)
            .or_else(|| self.sent.take());
        let again = body
            .filter(|_| is_unprocessed(&error))
            .and_then(|mut body| {
                let can = body.rewind();
                can.then_some(body)
            });
        Failure { error, again }
    }
}

/// Whether the peer says that it has not looked at the stream: it was refused, or is beyond the
/// last one of a GOAWAY (h2 gives that error to no other stream).
fn is_unprocessed(error: &h2::Error) -> bool {
    error.is_remote()
        && (error.is_go_away()
            || error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM))
}

impl<B> Future for Exchange<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Send,
{
    type Output = Result<Response<NodeBody>, Failure<B>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Some(upload) = &mut this.upload
            && Pin::new(upload).poll(cx).is_ready()
        {
            this.sent = this.upload.take().map(Upload::into_body);
        }
        let response = match ready!(Pin::new(&mut this.response).poll(cx)) {
            Ok(response) => response,
            Err(error) => return Poll::Ready(Err(this.fail(error))),
        };
        // Nearly every unary request is sent by now, so that it never needs a task.
        let upload = this.upload.take().map(|mut upload| {
            upload.forget();
            AbortOnDrop(tokio::spawn(upload).abort_handle())
        });
        let counted = this.counted.take();
        Poll::Ready(Ok(response.map(|stream| NodeBody {
            stream,
            data_done: false,
            done: false,
            _upload: upload,
            _counted: counted,
        })))
    }
}

/// The rest of a request ends with the response.
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The body of a node's response. Its window opens as it is read. Dropping it cancels the call.
pub(crate) struct NodeBody {
    stream: RecvStream,
    data_done: bool,
    done: bool,
    _upload: Option<AbortOnDrop>,
    _counted: Option<(Held, InFlight)>,
}

impl Body for NodeBody {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if self.done {
            return Poll::Ready(None);
        }
        if !self.data_done {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    // An error means that the stream is over, which the next frame tells.
                    let _ = self.stream.flow_control().release_capacity(data.len());
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => {
                    self.done = true;
                    return match error.reason() {
                        // The node has said all that it wants to, without an error of its own.
                        Some(Reason::NO_ERROR) if error.is_reset() => Poll::Ready(None),
                        _ => Poll::Ready(Some(Err(error))),
                    };
                }
                None => self.data_done = true,
            }
        }
        let trailers = ready!(self.stream.poll_trailers(cx));
        self.done = true;
        Poll::Ready(match trailers {
            Ok(trailers) => trailers.map(|trailers| Ok(Frame::trailers(trailers))),
            Err(error) => Some(Err(error)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.done || self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
