//! A request body that can be sent a second time, as long as little of it has been sent.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame};

/// The largest first chunk that is remembered, in bytes.
const REMEMBERED: usize = 64 * 1024;

/// A request body of which the first chunk is remembered until a second one follows: enough to
/// send nearly every unary request again when a node has refused it unread.
pub(crate) struct Replay<B> {
    body: B,
    first: First,
}

enum First {
    /// Nothing has been sent.
    Unsent,
    /// This alone has been sent, or not even that: nothing at all when it is `None`.
    Sent(Option<Bytes>),
    /// To be sent again.
    Again(Bytes),
    /// Too much has been sent.
    Forgotten,
}

impl<B: Body<Data = Bytes> + Unpin> Replay<B> {
    pub(crate) fn new(body: B) -> Self {
        Self {
            body,
            first: First::Unsent,
        }
    }

    /// Whether there is nothing to send.
    pub(crate) fn is_end_stream(&self) -> bool {
        !matches!(self.first, First::Again(_)) && self.body.is_end_stream()
    }

    /// Makes ready to be sent from the start; answers whether that is possible.
    pub(crate) fn rewind(&mut self) -> bool {
        match std::mem::replace(&mut self.first, First::Unsent) {
            First::Unsent | First::Sent(None) => {}
            First::Sent(Some(bytes)) | First::Again(bytes) => self.first = First::Again(bytes),
            First::Forgotten => {
                self.first = First::Forgotten;
                return false;
            }
        }
        true
    }

    /// Gives up on a second time.
    pub(crate) fn forget(&mut self) {
        if !matches!(self.first, First::Again(_)) {
            self.first = First::Forgotten;
        }
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if let First::Again(bytes) = &self.first {
            let bytes = bytes.clone();
            self.first = First::Sent(Some(bytes.clone()));
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        match &frame {
            Poll::Ready(Some(Ok(frame))) => {
                self.first = match (frame.data_ref(), &self.first) {
                    (Some(data), First::Unsent) if data.len() <= REMEMBERED => {
                        First::Sent(Some(data.clone()))
                    }
                    _ => First::Forgotten,
                };
            }
            // A body that has failed cannot be sent again.
            Poll::Ready(Some(Err(_))) => self.first = First::Forgotten,
            Poll::Ready(None) if matches!(self.first, First::Unsent) => {
                self.first = First::Sent(None);
            }
            _ => {}
        }
        frame
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, future::poll_fn};

    use futures::stream;
    use http_body_util::StreamBody;

    use super::*;

    fn body(
        chunks: &[&'static str],
    ) -> Replay<impl Body<Data = Bytes, Error = Infallible> + Unpin> {
        let frames: Vec<Result<_, Infallible>> = chunks
            .iter()
            .map(|chunk| Ok(Frame::data(Bytes::from_static(chunk.as_bytes()))))
            .collect();
        Replay::new(StreamBody::new(stream::iter(frames)))
    }

    async fn next<B: Body<Data = Bytes, Error = Infallible> + Unpin>(
        body: &mut Replay<B>,
    ) -> Option<Bytes> {
        let frame = poll_fn(|cx| body.poll_frame(cx)).await?;
        Some(frame.unwrap().into_data().unwrap())
    }

    #[tokio::test]
    async fn one_chunk_comes_again_and_two_do_not() {
        let mut body = body(&["a", "b"]);
        assert!(body.rewind(), "nothing sent yet");
        assert_eq!(next(&mut body).await.unwrap(), "a");
        assert!(body.rewind());
        assert!(body.rewind(), "twice in a row");
        assert_eq!(next(&mut body).await.unwrap(), "a");
        assert_eq!(next(&mut body).await.unwrap(), "b");
        assert!(!body.rewind());
        assert_eq!(next(&mut body).await, None);
    }

    #[tokio::test]
    async fn a_whole_body_comes_again() {
        let mut body = body(&["a"]);
        for _ in 0..3 {
            assert_eq!(next(&mut body).await.unwrap(), "a");
            assert_eq!(next(&mut body).await, None);
            assert!(body.rewind());
        }
    }

    #[tokio::test]
    async fn large_chunks_are_not_kept() {
        let mut body = Replay::new(http_body_util::Full::new(Bytes::from(vec![
            0;
            REMEMBERED + 1
        ])));
        assert!(next(&mut body).await.is_some());
        assert!(!body.rewind());
    }
}
