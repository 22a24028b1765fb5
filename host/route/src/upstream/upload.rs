//! The request half of an exchange: moves a body to a node as fast as the node takes it.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::Body;

use super::replay::Replay;

/// Sends a body on a stream. It asks the body for more only when the node's window has taken what
/// came before, so that what is held here is one chunk.
pub(crate) struct Upload<B> {
    body: Replay<B>,
    stream: SendStream<Bytes>,
    held: Option<Chunk>,
}

struct Chunk {
    data: Bytes,
    last: bool,
}

impl<B> Upload<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    pub(crate) fn new(body: Replay<B>, stream: SendStream<Bytes>) -> Self {
        Self {
            body,
            stream,
            held: None,
        }
    }

    /// Gives up on sending the body a second time.
    pub(crate) fn forget(&mut self) {
        self.body.forget();
    }

    /// The body, to be sent elsewhere.
    pub(crate) fn into_body(self) -> Replay<B> {
        self.body
    }

    /// Ready when there is nothing left to do: all is sent, or the stream is over. What became of
    /// the call, the response tells.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.stream.poll_reset(cx).is_ready() {
                return Poll::Ready(());
            }
            if let Some(chunk) = &self.held {
                // Room is asked for only when there is something to send: asked for in advance, it
                // would be taken from the other streams of the connection.
                self.stream.reserve_capacity(chunk.data.len());
                if !chunk.data.is_empty() && self.stream.capacity() == 0 {
                    match ready!(self.stream.poll_capacity(cx)) {
                        Some(Ok(_)) => continue,
                        Some(Err(_)) | None => return Poll::Ready(()),
                    }
                }
                let chunk = self.held.take().expect("a chunk is held, as just seen");
                let sent = self.stream.send_data(chunk.data, chunk.last);
                if chunk.last || sent.is_err() {
                    return Poll::Ready(());
                }
            }
            let Some(frame) = ready!(self.body.poll_frame(cx)) else {
                self.held = Some(Chunk {
                    data: Bytes::new(),
                    last: true,
                });
                continue;
            };
            let Ok(frame) = frame else {
                self.stream.send_reset(Reason::CANCEL);
                return Poll::Ready(());
            };
            let last = self.body.is_end_stream();
            match frame.into_data() {
                Ok(data) if data.is_empty() && !last => {}
                Ok(data) => self.held = Some(Chunk { data, last }),
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        // The stream may be over already, which the response tells too.
                        let _ = self.stream.send_trailers(trailers);
                        return Poll::Ready(());
                    }
                }
            }
        }
    }
}

impl<B> Future for Upload<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_send(cx)
    }
}
